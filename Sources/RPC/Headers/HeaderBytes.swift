#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// Header names and values as they arrive: bytes in memory that is not ours. They are compared in place; only
// what a handler can see becomes a `String`.
extension UnsafeRawBufferPointer {
  func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && hasPrefix(text)
  }

  func hasPrefix(_ text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount, let baseAddress else { return text.utf8CodeUnitCount == 0 }
    return memcmp(baseAddress, text.utf8Start, text.utf8CodeUnitCount) == 0
  }

  func hasSuffix(_ text: StaticString) -> Bool {
    UnsafeRawBufferPointer(rebasing: suffix(text.utf8CodeUnitCount)).equals(text)
  }

  /// Without the white space around it, which is no part of a value (RFC 9110, 5.5).
  var trimmed: UnsafeRawBufferPointer {
    func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    guard let first, let last, isSpace(first) || isSpace(last) else { return self }
    var rest = drop(while: isSpace)
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    return UnsafeRawBufferPointer(rebasing: rest)
  }

  /// `application/grpc`, alone or followed by a subtype or parameters.
  var isGRPCContentType: Bool {
    guard hasPrefix("application/grpc") else { return false }
    let rest = dropFirst("application/grpc".utf8.count)
    return rest.isEmpty || rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: ";")
  }
}

extension Metadata {
  /// Takes a field off the wire; one that belongs to HTTP/2 or gRPC, or is damaged, is left out.
  mutating func receive(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    guard let first = name.first, first != UInt8(ascii: ":"), !name.hasPrefix("grpc-") else { return }
    for reserved: StaticString in ["te", "content-type", "user-agent"] where name.equals(reserved) { return }
    let text = String(decoding: name, as: UTF8.self)
    guard name.hasSuffix("-bin") else {
      add(text, String(decoding: value.trimmed, as: UTF8.self))
      return
    }
    // Equal names may have been joined into one field on the way; a comma is no base64 digit.
    for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      if let bytes = Base64.decode(UnsafeRawBufferPointer(rebasing: part).trimmed) { add(text, bytes) }
    }
  }
}
