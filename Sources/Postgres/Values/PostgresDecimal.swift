/// `numeric` as its decimal text, so that no digit is lost: `12.50`, `-0.001`, `NaN`, `Infinity`.
package struct PostgresDecimal: Hashable, Sendable {
  package let text: String

  /// Checks that the text is an optional sign and digits with at most one point, or one of
  /// `NaN`, `Infinity`, `-Infinity`; nil otherwise. No exponents.
  package init?(_ text: String) {
    guard Digits(text) != nil || Self.specials[text] != nil else { return nil }
    self.text = text
  }

  private init(decoded text: String) { self.text = text }

  private static let specials: [String: UInt16] = [
    "NaN": 0xC000, "Infinity": 0xD000, "-Infinity": 0xF000,
  ]

  /// The wire form: base-10,000 digits, the first of weight 10,000^`weight`.
  private struct Digits {
    var groups: [Int16] = []
    var weight: Int16 = 0
    var isNegative = false
    /// Digits after the point, zeros included.
    var scale: Int16 = 0

    init?(_ text: String) {
      var digits: [UInt8] = []
      var point: Int?
      var bytes = text.utf8[...]
      if let sign = bytes.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
        isNegative = sign == UInt8(ascii: "-")
        bytes.removeFirst()
      }
      for byte in bytes {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digits.append(byte - UInt8(ascii: "0"))
        case UInt8(ascii: ".") where point == nil: point = digits.count
        default: return nil
        }
      }
      let whole = point ?? digits.count
      // Postgres' own limits: 131,072 digits before the point, 16,383 after it.
      guard !digits.isEmpty, whole <= 131_072, digits.count - whole <= 16_383 else { return nil }
      scale = Int16(digits.count - whole)
      // Groups of four line up with the point, so both ends are filled with zeros.
      let leading = (4 - whole % 4) % 4
      let trailing = (4 - (digits.count - whole) % 4) % 4
      digits = Array(repeating: 0, count: leading) + digits + Array(repeating: 0, count: trailing)
      weight = Int16((whole + leading) / 4 - 1)
      groups = stride(from: 0, to: digits.count, by: 4).map { start in
        digits[start..<start + 4].reduce(0) { $0 * 10 + Int16($1) }
      }
      let zeros = groups.prefix { $0 == 0 }.count
      groups.removeFirst(zeros)
      weight -= Int16(zeros)
      while groups.last == 0 { groups.removeLast() }
      if groups.isEmpty { (weight, isNegative) = (0, false) }
    }
  }
}

extension PostgresDecimal: PostgresValue {
  package static var postgresType: PostgresType { .numeric }

  package func encode(into writer: inout WireWriter) {
    guard let digits = Digits(text) else {
      writer.write(0 as Int32)
      writer.write(Self.specials[text] ?? 0xC000)
      return writer.write(0 as Int16)
    }
    writer.write(Int16(truncatingIfNeeded: digits.groups.count))
    writer.write(digits.weight)
    writer.write(digits.isNegative ? 0x4000 : 0 as UInt16)
    writer.write(digits.scale)
    for group in digits.groups { writer.write(group) }
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresDecimal {
    let count = Int(try reader.read(UInt16.self))
    let weight = Int(try reader.read(Int16.self))
    let sign = try reader.read(UInt16.self)
    let scale = Int(try reader.read(UInt16.self))
    if let special = specials.first(where: { $0.value == sign }) {
      return PostgresDecimal(decoded: special.key)
    }
    guard sign == 0 || sign == 0x4000 else { throw WireError("has the numeric sign \(sign)") }

    var groups: [Int16] = []
    for _ in 0..<count {
      let group = try reader.read(Int16.self)
      guard 0..<10_000 ~= group else { throw WireError("has the numeric digit \(group)") }
      groups.append(group)
    }
    func group(_ power: Int) -> String {
      let index = weight - power
      let digits = String(groups.indices.contains(index) ? groups[index] : 0)
      return String(repeating: "0", count: 4 - digits.count) + digits
    }
    var text = weight < 0 ? "0" : String((0...weight).reversed().map(group).joined().drop { $0 == "0" })
    if text.isEmpty { text = "0" }
    if scale > 0 {
      let fraction = (0..<(scale + 3) / 4).map { group(-1 - $0) }.joined()
      text += "." + fraction.prefix(scale)
    }
    return PostgresDecimal(decoded: sign == 0 ? text : "-" + text)
  }
}
