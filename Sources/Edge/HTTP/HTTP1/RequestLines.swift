import NIOHTTP1

// The lines of a request, each without its end. Carriage returns, line feeds and NULs are in none of their characters.

/// `GET /stores?limit=2 HTTP/1.1` (RFC 9112, 3).
struct RequestLine: Equatable {
  var method: HTTPMethod
  var target: String
  var version: HTTPVersion

  static func parse(_ line: UnsafeRawBufferPointer) -> Result<RequestLine, HTTPRefusal> {
    // Exactly one space between the three: RFC 9112 lets a recipient take more, and other things than spaces.
    guard let first = line.firstIndex(of: .space), let last = line.lastIndex(of: .space), first < last else {
      return .failure(.malformed("A request line is a method, a target and a version."))
    }
    let (method, target, version) = (line[..<first], line[(first + 1)..<last], line[(last + 1)...])
    guard (1...maxMethodBytes).contains(method.count), method.allSatisfy(\.isToken) else {
      return .failure(.malformed("The method is not one."))
    }
    guard !target.isEmpty, target.allSatisfy(\.isTarget) else {
      return .failure(.malformed("The request's target has characters that no target has."))
    }
    guard version.count == 8, version.prefix(5).elementsEqual("HTTP/".utf8) else {
      return .failure(.malformed("The request line does not end with a version of HTTP."))
    }
    let number: HTTPVersion
    if version.suffix(3).elementsEqual("1.1".utf8) {
      number = .http1_1
    } else if version.suffix(3).elementsEqual("1.0".utf8) {
      number = .http1_0
    } else {
      return .failure(.unknownVersion)
    }
    return .success(
      RequestLine(method: HTTPMethod(rawValue: text(method)), target: text(target), version: number))
  }

  /// The longest registered one, UPDATEREDIRECTREF, has 17.
  private static let maxMethodBytes = 20
}

/// `Host: example.org` (RFC 9112, 5).
enum FieldLine {
  static func parse(_ line: UnsafeRawBufferPointer) -> (name: String, value: String)? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { return nil }
    // A space before the colon, or in front of the name, where it would continue the line before, is no token.
    let name = line[..<colon]
    guard name.allSatisfy(\.isToken) else { return nil }
    var value = line[(colon + 1)...]
    while value.first?.isBlank == true { value.removeFirst() }
    while value.last?.isBlank == true { value.removeLast() }
    guard value.allSatisfy(\.isFieldValue) else { return nil }
    return (text(name), text(value))
  }
}

/// `1a2b;name=value` (RFC 9112, 7.1).
struct ChunkLine: Equatable {
  var size: Int
  var extensionBytes: Int

  static func parse(_ line: UnsafeRawBufferPointer) -> ChunkLine? {
    var (size, index) = (0, 0)
    while index < line.count, let digit = line[index].hexDigit {
      // As many as fit, whatever they are: zeros in front could go on for ever.
      guard index < maxDigits else { return nil }
      size = size << 4 | digit
      index += 1
    }
    guard index > 0, areExtensions(line[index...]) else { return nil }
    return ChunkLine(size: size, extensionBytes: line.count - index)
  }

  private static let maxDigits = 15

  /// Whether it is `;name`, `;name=token` or `;name="text"`, any number of times. They mean nothing here, but they must
  /// not be where somebody else finds the end of the line.
  private static func areExtensions(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    var rest = bytes
    while rest.popFirst() != nil {
      // The first was the semicolon, or nothing that belongs here.
      guard rest.startIndex > bytes.startIndex, rest.base[rest.startIndex - 1] == UInt8(ascii: ";") else {
        return false
      }
      let name = rest.prefix(while: \.isToken)
      guard !name.isEmpty else { return false }
      rest = rest[name.endIndex...]
      guard rest.first == UInt8(ascii: "=") else { continue }
      rest.removeFirst()
      if rest.first == UInt8(ascii: "\"") {
        rest.removeFirst()
        let text = rest.prefix { $0.isFieldValue && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        rest = rest[text.endIndex...]
        guard rest.popFirst() == UInt8(ascii: "\"") else { return false }
      } else {
        let value = rest.prefix(while: \.isToken)
        guard !value.isEmpty else { return false }
        rest = rest[value.endIndex...]
      }
    }
    return true
  }
}

private func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String { String(decoding: bytes, as: UTF8.self) }

extension UInt8 {
  static let space = UInt8(ascii: " ")

  /// RFC 9110, 5.6.2.
  var isToken: Bool { Self.tokens[Int(self)] }
  /// Visible ASCII. A fragment stays with the client, and everything else has to be escaped.
  var isTarget: Bool { self > 0x20 && self < 0x7F && self != UInt8(ascii: "#") }
  /// RFC 9110, 5.5: visible characters, those beyond ASCII, and blanks between them.
  var isFieldValue: Bool { self >= 0x20 && self != 0x7F || self == 0x09 }
  var isBlank: Bool { self == 0x20 || self == 0x09 }

  fileprivate var hexDigit: Int? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(self - UInt8(ascii: "a")) + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(self - UInt8(ascii: "A")) + 10
    default: nil
    }
  }

  private static let tokens: [Bool] = {
    var table = [Bool](repeating: false, count: 256)
    for byte in "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8 {
      table[Int(byte)] = true
    }
    return table
  }()
}
