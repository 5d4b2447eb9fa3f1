/// Finds the subject's common name in a certificate (RFC 5280, 4.1), which swift-nio-ssl does not tell.
enum SubjectName {
  /// - Parameter der: a certificate that has been verified, so is well-formed; if it is not there is no name.
  static func commonName(ofCertificate der: [UInt8]) -> String? {
    var bytes = der[...]
    guard var certificate = element(&bytes, tag: sequence), var body = element(&certificate, tag: sequence)
    else {
      return nil
    }
    // A version, if it is not the first, then serial number, algorithm, issuer, validity.
    if body.first == 0xA0 { _ = element(&body, tag: 0xA0) }
    guard element(&body, tag: 0x02) != nil, element(&body, tag: sequence) != nil,
      element(&body, tag: sequence) != nil,
      element(&body, tag: sequence) != nil, var subject = element(&body, tag: sequence)
    else { return nil }
    var name: String?
    while var relative = element(&subject, tag: 0x31) {
      while var attribute = element(&relative, tag: sequence) {
        guard element(&attribute, tag: 0x06).map(Array.init) == commonNameID, let tag = attribute.first,
          tag == 0x0C || tag == 0x13, let value = element(&attribute, tag: tag)
        else { continue }
        // UTF8String or PrintableString; the last one is the most specific.
        name = String(validating: value, as: UTF8.self)
      }
    }
    return name
  }

  private static let sequence: UInt8 = 0x30
  /// 2.5.4.3
  private static let commonNameID: [UInt8] = [0x55, 0x04, 0x03]

  /// Takes an element with this tag off the front, and returns what is in it.
  private static func element(_ bytes: inout ArraySlice<UInt8>, tag: UInt8) -> ArraySlice<UInt8>? {
    var rest = bytes
    guard rest.popFirst() == tag, let first = rest.popFirst() else { return nil }
    var length = Int(first)
    if first & 0x80 != 0 {
      guard (1...3).contains(first & 0x7F) else { return nil }
      length = 0
      for _ in 0..<(first & 0x7F) {
        guard let byte = rest.popFirst() else { return nil }
        length = length << 8 | Int(byte)
      }
    }
    guard length <= rest.count else { return nil }
    bytes = rest.dropFirst(length)
    return rest.prefix(length)
  }
}
