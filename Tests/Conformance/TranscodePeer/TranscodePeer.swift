import Foundation
import NIOCore
import Schema

/// The Edge's transcoder on a pipe, for others to compare with. Takes the file of a descriptor set; then answers each line
/// of standard input with one of standard output:
///
///     wire TYPE HEX    JSON text of a message   →  ok HEX CODE,CODE…   its bytes, and what was noted on the way
///     json TYPE HEX    bytes of a message       →  ok HEX              its JSON text
///
/// or `error CODE` when the text or the bytes are none.
@main
struct TranscodePeer {
  static func main() throws {
    let serialized = try Data(contentsOf: URL(filePath: CommandLine.arguments[1]))
    var compiler = TableCompiler(try DescriptorSet(serialized: Array(serialized)))
    while let line = readLine() {
      let words = line.split(separator: " ", omittingEmptySubsequences: false)
      precondition(words.count == 3, "three words a line")
      let table = try compiler.message(String(words[1]))
      let answer = words[0] == "wire" ? wire(bytes(words[2]), table) : json(bytes(words[2]), table)
      try FileHandle.standardOutput.write(contentsOf: Data("\(answer)\n".utf8))
    }
  }

  private static func wire(_ text: [UInt8], _ table: MessageTable) -> String {
    var transcoder = JSONToWire(into: ByteBuffer())
    var bound = JSONToWire.BoundFields()
    let error = text.withUnsafeBytes { text -> JSONSyntaxError? in
      do throws(JSONSyntaxError) {
        try transcoder.message(text, as: table, bound: &bound)
        return nil
      } catch {
        return error
      }
    }
    if let error { return "error \(error.code)" }
    transcoder.finish(table, seen: bound.seen)
    return "ok \(hex(transcoder.out)) \(transcoder.violations.map(\.code).joined(separator: ","))"
  }

  private static func json(_ message: [UInt8], _ table: MessageTable) -> String {
    do throws(MalformedMessage) {
      return "ok \(hex(try WireToJSON.transcode(ByteBuffer(bytes: message), as: table, into: ByteBuffer())))"
    } catch {
      return "error MALFORMED"
    }
  }

  private static func bytes(_ hex: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var digits = hex.utf8.makeIterator()
    while let high = digits.next()?.hexValue, let low = digits.next()?.hexValue {
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func hex(_ buffer: ByteBuffer) -> String {
    buffer.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
