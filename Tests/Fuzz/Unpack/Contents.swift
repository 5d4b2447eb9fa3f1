import NIOCore
import Schema

/// The texts and bytes of a message, each under the path to it, as a reader finds them that shares no code with the
/// one under test.
struct Contents: Equatable {
  private var values: [String: [[UInt8]]] = [:]

  /// - Parameter bytes: a message that decodes.
  init(of bytes: ByteBuffer, as message: MessageDescriptor, in set: DescriptorSet) {
    read(WireReader(Array(bytes.readableBytesView)[...]), as: message, in: set, at: "")
  }

  private mutating func read(
    _ reader: WireReader, as message: MessageDescriptor, in set: DescriptorSet, at path: String
  ) {
    var scan = reader
    var counts: [Int: Int] = [:]
    while let wire = next(&scan) {
      guard let field = message.field(number: wire.number) else { continue }
      clearOthers(than: field, of: message, at: path)
      guard case .bytes(let content) = wire.value else { continue }
      let place = "\(path).\(field.number)"
      switch field.kind {
      case .string, .bytes:
        if field.isRepeated {
          values[place, default: []].append(Array(content))
        } else {
          // The last one counts; without presence, empty is absent.
          values[place] = field.cardinality == .implicit && content.isEmpty ? nil : [Array(content)]
        }
      case .message(let name):
        guard let inner = set.message(name) else { preconditionFailure("\(name) is not in the set") }
        let index = counts[field.number, default: 0]
        counts[field.number] = index + 1
        read(WireReader(content), as: inner, in: set, at: field.isRepeated ? "\(place)[\(index)]" : place)
      default: break
      }
    }
  }

  private func next(_ scan: inout WireReader) -> WireField? {
    do {
      return try scan.next()
    } catch {
      preconditionFailure("what decoded cannot be read: \(error)")
    }
  }

  /// Of a oneof the last member counts.
  private mutating func clearOthers(
    than field: FieldDescriptor, of message: MessageDescriptor, at path: String
  ) {
    guard let oneof = field.oneofIndex else { return }
    for other in message.fields where other.oneofIndex == oneof && other.number != field.number {
      let place = "\(path).\(other.number)"
      values = values.filter { $0.key != place && !$0.key.hasPrefix("\(place).") }
    }
  }
}
