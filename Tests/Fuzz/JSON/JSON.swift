import MainstreetAPI
import NIOCore
import RPC
import Schema

/// The transcoder of the Edge, both ways, as the message type the second byte picks. The first byte says whether the rest
/// is JSON of a client or bytes of a service.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  guard bytes.count >= 2 else { return 0 }
  let table = tables[Int(bytes[1]) % tables.count]
  let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(2))
  if bytes[0] % 2 == 0 {
    checkJSON(rest, as: table)
  } else {
    checkWire(ByteBuffer(bytes: rest), as: table)
  }
  return 0
}

/// What is read is written, and what is written is read as the same.
private func checkJSON(_ text: UnsafeRawBufferPointer, as table: MessageTable) {
  guard let wire = read(text, as: table) else { return }
  let written = write(wire, as: table)
  precondition(isJSON(written), "what was written is not JSON")
  guard let again = written.withUnsafeReadableBytes({ read($0, as: table) }) else {
    preconditionFailure("what was written is not read")
  }
  precondition(write(again, as: table) == written, "a message changes on its second way through")
}

/// Whatever a service answers, what goes out is JSON or nothing.
private func checkWire(_ wire: ByteBuffer, as table: MessageTable) {
  guard let written = try? WireToJSON.transcode(wire, as: table, into: ByteBuffer()) else { return }
  precondition(isJSON(written), "what was written is not JSON")
}

/// Nil when the text was refused for what it is; that a value breaks a rule does not matter here.
private func read(_ text: UnsafeRawBufferPointer, as table: MessageTable) -> ByteBuffer? {
  var transcoder = JSONToWire(into: ByteBuffer())
  var bound = JSONToWire.BoundFields()
  do throws(JSONSyntaxError) {
    try transcoder.message(text, as: table, bound: &bound)
  } catch {
    precondition(error.offset <= text.count, "an error lies behind the text")
    _ = error.message(in: text)
    return nil
  }
  transcoder.finish(table, seen: bound.seen)
  precondition(transcoder.violations.count <= JSONToWire.violationLimit)
  // A long list of broken rules may hide what else is wrong.
  guard transcoder.violations.count < JSONToWire.violationLimit else { return nil }
  return transcoder.violations.allSatisfy { !refusals.contains($0.code) } ? transcoder.out : nil
}

/// Codes of values that have no place in the message, so that nothing was written for them.
private let refusals: Set = [
  "WRONG_TYPE", "UNKNOWN_FIELD", "DUPLICATE_KEY", "ONEOF_CONFLICT", "NUL_CHARACTER", "INVALID_BASE64",
  "INVALID_TIMESTAMP", "INVALID_DURATION", "UNKNOWN_ENUM_VALUE", "OUT_OF_RANGE", "CONFLICT",
]

private func write(_ wire: ByteBuffer, as table: MessageTable) -> ByteBuffer {
  do {
    return try WireToJSON.transcode(wire, as: table, into: ByteBuffer())
  } catch {
    preconditionFailure("what was read is not written: \(error)")
  }
}

private func isJSON(_ buffer: ByteBuffer) -> Bool {
  buffer.withUnsafeReadableBytes { text in
    var scanner = JSONScanner(text)
    do throws(JSONSyntaxError) {
      try scanner.skipValue(depth: 0)
      try scanner.end()
      return true
    } catch {
      // A service may keep an object of 64 levels, which then stands deeper in the answer.
      return error.cause == .tooDeep
    }
  }
}

/// One for each type of the contract. They stay for ever, which the leak checker does not see.
private let tables: [MessageTable] = {
  ignoreLeaks()
  defer { noticeLeaks() }
  do {
    var compiler = TableCompiler(try DescriptorSet(serialized: descriptorSet))
    return try messageTypes.map { try compiler.message($0.fullName) }
  } catch {
    preconditionFailure("\(error)")
  }
}()

@_silgen_name("__lsan_disable")
private func ignoreLeaks()

@_silgen_name("__lsan_enable")
private func noticeLeaks()
