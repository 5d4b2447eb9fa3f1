import NIOCore

/// `grpc-timeout`: at most eight digits and a unit, `H M S m u n`.
enum TimeoutHeader {
  /// `nil` when `text` is no timeout. One too long for the clock becomes the longest there is.
  static func parse(_ text: some BidirectionalCollection<UInt8>) -> TimeAmount? {
    let digits = text.dropLast()
    guard let unit = text.last.flatMap(nanoseconds), (1...8).contains(digits.count) else { return nil }
    var value: Int64 = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      value = value * 10 + Int64(digit - UInt8(ascii: "0"))
    }
    let (product, overflow) = value.multipliedReportingOverflow(by: unit)
    return .nanoseconds(overflow ? .max : product)
  }

  /// The finest unit that fits eight digits, rounded down: the server must not wait longer than the client.
  static func format(_ timeout: TimeAmount) -> String {
    let nanoseconds = max(0, timeout.nanoseconds)
    for (unit, name) in units where nanoseconds / unit < 100_000_000 {
      return "\(nanoseconds / unit)\(name)"
    }
    return "99999999H"
  }

  private static let units: [(Int64, String)] = [
    (1, "n"), (1000, "u"), (1_000_000, "m"), (1_000_000_000, "S"), (60_000_000_000, "M"),
    (3_600_000_000_000, "H"),
  ]

  private static func nanoseconds(_ unit: UInt8) -> Int64? {
    units.first { $0.1.utf8.first == unit }?.0
  }
}
