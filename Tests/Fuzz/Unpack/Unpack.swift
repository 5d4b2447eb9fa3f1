import MainstreetAPI
import NIOCore
import RPC
import Schema

/// Bytes of a peer → validating pass → arena → protobuf-c → Swift, for the message type the first byte picks; what
/// came through is encoded and must come back as it was.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  guard let choice = bytes.first else { return 0 }
  messageTypes[Int(choice) % messageTypes.count].check(ByteBuffer(bytes: bytes.dropFirst()))
  return 0
}

extension RPC.Message {
  fileprivate static func check(_ bytes: ByteBuffer) {
    guard let message = try? Self(decoding: bytes) else { return }
    let encoded = message.encoded()
    guard let again = try? Self(decoding: encoded) else {
      preconditionFailure("what was encoded does not decode")
    }
    // By their bytes: a NaN is not equal to itself.
    precondition(again.encoded() == encoded, "a message changes on its second way through")
    guard let descriptor = contract.message(fullName) else {
      preconditionFailure("\(fullName) is not in the descriptor set")
    }
    precondition(
      Contents(of: bytes, as: descriptor, in: contract)
        == Contents(of: encoded, as: descriptor, in: contract),
      "a value was cut, lost or made up")
    var violations: [FieldViolation] = []
    message.validate(into: &violations)
  }
}

/// Stays for ever. The leak checker does not see it: Swift keeps flags in the pointers of strings and enums.
private let contract: DescriptorSet = {
  ignoreLeaks()
  defer { noticeLeaks() }
  do {
    return try DescriptorSet(serialized: descriptorSet)
  } catch {
    preconditionFailure("\(error)")
  }
}()

@_silgen_name("__lsan_disable")
private func ignoreLeaks()

@_silgen_name("__lsan_enable")
private func noticeLeaks()
