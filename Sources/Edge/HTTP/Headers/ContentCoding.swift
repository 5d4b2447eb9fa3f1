/// How a body is coded on its way.
enum ContentCoding: String, Sendable {
  case identity, gzip

  /// What a client wants that sent this Accept-Encoding (RFC 9110, 12.5.3); nil when it takes neither.
  ///
  /// Gzip has to be named, by its name or by `*`, and must not be liked less than what is not coded. That needs no naming,
  /// and can be ruled out by `identity;q=0`, or by `*;q=0` alone.
  static func preferred(by field: String) -> ContentCoding? {
    var (gzip, identity, any): (Int?, Int?, Int?) = (nil, nil, nil)
    for element in field.split(separator: ",").prefix(maxElements) {
      let parts = element.split(separator: ";", omittingEmptySubsequences: false)
      guard let weight = weight(parts.dropFirst()) else { continue }
      switch parts[0].filter({ $0 != " " && $0 != "\t" }).lowercased() {
      case "gzip", "x-gzip": gzip = weight
      case "identity": identity = weight
      case "*": any = weight
      default: break
      }
    }
    let compressed = gzip ?? any ?? 0
    let plain = identity ?? (any == 0 ? 0 : 1)
    if compressed > 0, compressed >= (identity ?? 0) { return .gzip }
    return plain > 0 ? .identity : nil
  }

  private static let maxElements = 16

  /// In thousandths; one that is not said is 1, and nil one that cannot be read.
  private static func weight(_ parameters: ArraySlice<Substring>) -> Int? {
    guard let parameter = parameters.first else { return 1000 }
    let text = parameter.filter { $0 != " " && $0 != "\t" }.lowercased()
    guard parameters.count == 1, text.hasPrefix("q="), text.utf8.count <= 7,
      let weight = Double(text.dropFirst(2)),
      (0...1).contains(weight)
    else { return nil }
    return Int(weight * 1000)
  }

  /// Whether bodies of this type become shorter by it: text, in short. Images and archives are compressed already.
  static func isWorthIt(for contentType: String) -> Bool {
    let media = contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
    // Of an event stream every event is to arrive when it happens.
    return media.hasPrefix("text/") && media != "text/event-stream" || media.hasSuffix("json")
      || media.hasSuffix("xml")
      || media == "application/javascript"
  }
}
