/// What a tenant is called in addresses.
enum SlugRules {
  static let mostCharacters = 63
  static let attempts = 6

  /// Slugs to try in turn for a tenant of this name: the name itself, then with something behind it that tells it from
  /// others of the same name.
  /// - Parameter suffixes: letters and digits, a different one for each attempt.
  static func candidates(name: String, suffixes: [String]) -> [String] {
    let base = slug(of: name)
    let long = suffixes.map { suffix in
      let stem = base.isEmpty ? "tenant" : trimmed(String(base.prefix(mostCharacters - suffix.count - 1)))
      return "\(stem)-\(suffix)"
    }
    return base.count < 2 ? long : [base] + long
  }

  /// Letters and digits of the name in lower case, with one hyphen for everything between them.
  private static func slug(of name: String) -> String {
    var slug = ""
    for byte in name.lowercased().utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        slug.unicodeScalars.append(Unicode.Scalar(byte))
      default: if !slug.isEmpty, !slug.hasSuffix("-") { slug += "-" }
      }
    }
    return trimmed(String(slug.prefix(mostCharacters)))
  }

  private static func trimmed(_ text: String) -> String {
    text.hasSuffix("-") ? String(text.dropLast()) : text
  }
}
