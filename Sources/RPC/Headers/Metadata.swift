/// The headers or trailers of a call: an ordered multimap of lower-case ASCII names.
///
/// A name that ends in `-bin` carries bytes; every other value is printable ASCII (PROTOCOL-HTTP2.md,
/// "Custom-Metadata"). Names that HTTP/2 or gRPC use themselves (`:path`, `te`, `grpc-…`) never appear here.
package struct Metadata: Sendable, Hashable {
  package enum Content: Sendable, Hashable {
    case text(String)
    case binary([UInt8])
  }

  package struct Entry: Sendable, Hashable {
    package let name: String
    package let value: Content
  }

  private var entries: [Entry] = []

  package init() {}

  /// The first text value of `name`; assigning replaces all of its values, `nil` removes them.
  package subscript(name: String) -> String? {
    get {
      for entry in entries where entry.name == name {
        if case .text(let text) = entry.value { return text }
      }
      return nil
    }
    set {
      removeAll(name)
      if let newValue { add(name, newValue) }
    }
  }

  /// The first binary value of `name`, which ends in `-bin`.
  package subscript(binary name: String) -> [UInt8]? {
    get {
      for entry in entries where entry.name == name {
        if case .binary(let bytes) = entry.value { return bytes }
      }
      return nil
    }
    set {
      removeAll(name)
      if let newValue { add(name, newValue) }
    }
  }

  package mutating func add(_ name: String, _ value: String) {
    precondition(!name.hasSuffix("-bin"), "the value of a -bin name is bytes")
    entries.append(Entry(name: name, value: .text(value)))
  }

  package mutating func add(_ name: String, _ value: [UInt8]) {
    precondition(name.hasSuffix("-bin"), "only a -bin name carries bytes")
    entries.append(Entry(name: name, value: .binary(value)))
  }

  package mutating func add(_ entry: Entry) {
    entries.append(entry)
  }

  package mutating func removeAll(_ name: String) {
    entries.removeAll { $0.name == name }
  }
}

extension Metadata {
  /// What it counts against a limit of header lists (RFC 9113, 6.5.2).
  var listBytes: Int {
    entries.reduce(0) { sum, entry in
      let value =
        switch entry.value {
        case .text(let text): text.utf8.count
        // As unpadded Base64.
        case .binary(let bytes): (bytes.count * 4 + 2) / 3
        }
      return sum + entry.name.utf8.count + value + 32
    }
  }
}

extension Metadata: RandomAccessCollection {
  package var startIndex: Int { entries.startIndex }
  package var endIndex: Int { entries.endIndex }
  package subscript(position: Int) -> Entry { entries[position] }
}

extension Metadata: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }
}
