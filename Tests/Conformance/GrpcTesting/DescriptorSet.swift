internal import CGrpcTesting

/// The protos of `grpc.testing` as a serialized `google.protobuf.FileDescriptorSet`.
package let testingDescriptorSet = [UInt8](
  UnsafeBufferPointer(start: grpc_testing_descriptor_set(), count: grpc_testing_descriptor_set_size()))
