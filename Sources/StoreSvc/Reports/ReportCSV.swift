/// The report as people download it. Byte for byte the format of systems that came before; see `header`.
struct ReportCSV {
  private(set) var bytes: [UInt8] = []

  static let header =
    "store_id,uptime_last_hour(in minutes),uptime_last_day(in hours),uptime_last_week(in hours),"
    + "downtime_last_hour(in minutes),downtime_last_day(in hours),downtime_last_week(in hours)\n"

  private static let microsecondsPerMinute: Int64 = 60_000_000
  private static let microsecondsPerHour: Int64 = 3_600_000_000

  init(rowCount: Int) {
    bytes.reserveCapacity(Self.header.utf8.count + rowCount * 64)
    bytes.append(contentsOf: Self.header.utf8)
  }

  mutating func append(storeID: String, _ uptime: Uptime) {
    appendText(storeID)
    for (time, unit) in [
      (uptime.up.hour, Self.microsecondsPerMinute), (uptime.up.day, Self.microsecondsPerHour),
      (uptime.up.week, Self.microsecondsPerHour), (uptime.down.hour, Self.microsecondsPerMinute),
      (uptime.down.day, Self.microsecondsPerHour), (uptime.down.week, Self.microsecondsPerHour),
    ] {
      appendComma()
      appendHundredths(of: time, unit: unit)
    }
    bytes.append(UInt8(ascii: "\n"))
  }

  mutating func appendComma() { bytes.append(UInt8(ascii: ",")) }

  /// `time / unit` rounded half away from zero to two decimals, without trailing zeros: `45`, `12.5`, `80.33`.
  /// `time` is not negative and `unit` divides by 100.
  mutating func appendHundredths(of time: Int64, unit: Int64) {
    let step = unit / 100
    let hundredths = (time + step / 2) / step
    appendDecimal(hundredths / 100)
    let fraction = UInt8(hundredths % 100)
    guard fraction > 0 else { return }
    bytes.append(UInt8(ascii: "."))
    bytes.append(UInt8(ascii: "0") + fraction / 10)
    if fraction % 10 > 0 { bytes.append(UInt8(ascii: "0") + fraction % 10) }
  }

  private mutating func appendDecimal(_ value: Int64) {
    if value >= 10 { appendDecimal(value / 10) }
    bytes.append(UInt8(ascii: "0") + UInt8(value % 10))
  }

  /// A cell. One that a spreadsheet would take for a formula is defused with an apostrophe (OWASP, "CSV
  /// Injection"); one with a separator in it is quoted (RFC 4180).
  private mutating func appendText(_ text: String) {
    let utf8 = text.utf8
    let isFormula = utf8.first.map { Self.formulaStarts.contains($0) } ?? false
    guard isFormula || utf8.contains(where: { Self.special.contains($0) }) else {
      bytes.append(contentsOf: utf8)
      return
    }
    let needsQuotes = utf8.contains { Self.special.contains($0) }
    if needsQuotes { bytes.append(Self.quote) }
    if isFormula { bytes.append(UInt8(ascii: "'")) }
    for byte in utf8 {
      if byte == Self.quote { bytes.append(Self.quote) }
      bytes.append(byte)
    }
    if needsQuotes { bytes.append(Self.quote) }
  }

  private static let quote = UInt8(ascii: "\"")
  private static let formulaStarts = Array("=+-@\t\r".utf8)
  private static let special = Array(",\"\r\n".utf8)
}
