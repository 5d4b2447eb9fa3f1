internal import CMainstreetProto

/// The whole contract as a serialized `google.protobuf.FileDescriptorSet`, options and comments included: what
/// routing, transcoding and reflection read.
package let descriptorSet = [UInt8](
  UnsafeBufferPointer(start: mainstreet_descriptor_set(), count: mainstreet_descriptor_set_size()))
