import Testing

@testable import StoreSvc

@Suite("CSV")
struct CSVReaderTests {
  private static func records(_ text: String, pieceSize: Int) throws -> [String] {
    let bytes = Array(text.utf8)
    var reader = CSVReader()
    var records: [String] = []
    func note(_ line: Int, _ text: Span<UInt8>, _ fields: [Range<Int>]) {
      let texts = fields.map { field in String(decoding: field.map { text[$0] }, as: UTF8.self) }
      records.append("\(line): " + texts.joined(separator: "|"))
    }
    for start in stride(from: 0, to: bytes.count, by: pieceSize) {
      try reader.feed(bytes[start..<min(start + pieceSize, bytes.count)], note)
    }
    try reader.finish(note)
    return records
  }

  @Test(
    "Records are the same however the text is cut",
    arguments: [
      ("a,b\nc,d\n", ["1: a|b", "2: c|d"]),
      ("a,b\r\nc,d", ["1: a|b", "2: c|d"]),
      ("\n\na,b\n\n", ["3: a|b"]),
      ("\"a,1\",\"b\"\"2\"\"\"\n", ["1: a,1|b\"2\""]),
      ("\"two\nlines\",x\r\nnext,\"\"\n", ["1: two\nlines|x", "3: next|"]),
      ("a\"b,c\n", ["1: a\"b|c"]),
      ("a,\n,b\n", ["1: a|", "2: |b"]),
      ("\"quoted\"tail,x\n", ["1: quotedtail|x"]),
      ("héllo,\"wörld\"", ["1: héllo|wörld"]),
    ] as [(String, [String])])
  func records(text: String, expected: [String]) throws {
    for pieceSize in 1...max(1, text.utf8.count) {
      #expect(try Self.records(text, pieceSize: pieceSize) == expected, "in pieces of \(pieceSize)")
    }
  }

  @Test("A quote that never closes is an error, not a file in one field")
  func unclosed() {
    #expect(throws: CSVReader.Failure.self) { try Self.records("a,\"b\nc,d\n", pieceSize: 3) }
    let endless = "\"" + String(repeating: "x", count: 100_000)
    #expect(throws: CSVReader.Failure.self) { try Self.records(endless, pieceSize: 4096) }
  }

  @Test("Columns are found by name in any order, past a byte order mark and spaces")
  func columns() throws {
    let header = Array("\u{FEFF}status, store_id ,timestamp_utc".utf8)
    let names = CSVColumns.names(header.span, [0..<9, 10..<20, 21..<34])
    #expect(names == ["status", "store_id", "timestamp_utc"])
    let columns = try CSVColumns(wanted: PollFile.columns, header: names)
    #expect(columns.places == [1, 0, 2])
    #expect(throws: CSVColumns.Failure.missing("timestamp_utc")) {
      try CSVColumns(wanted: PollFile.columns, header: ["store_id", "status"])
    }
  }

  @Test(
    "Timestamps in the forms people have are read",
    arguments: [
      ("2023-01-22 12:09:39.388884 UTC", 1_674_389_379_388_884),
      ("2023-01-22 12:09:39 UTC", 1_674_389_379_000_000),
      ("2023-01-22T12:09:39.5Z", 1_674_389_379_500_000), ("2023-01-22T13:09:39+01:00", 1_674_389_379_000_000),
      ("2023-01-22 12:09:39.3888849999", 1_674_389_379_388_884),
      ("2024-02-29 00:00:00 UTC", 1_709_164_800_000_000),
      ("2023-01-22 06:39:39 -05:30", 1_674_389_379_000_000),
    ] as [(String, Int64)])
  func timestamps(text: String, microseconds: Int64) {
    let bytes = Array(text.utf8)
    #expect(TimestampText.parse(bytes.span, 0..<bytes.count)?.microseconds == microseconds)
  }

  @Test(
    "What is no timestamp is refused",
    arguments: [
      "", "2023-01-22", "2023-02-29 00:00:00 UTC", "2023-01-22 24:00:00 UTC", "2023-01-22 12:60:00 UTC",
      "2023-01-22 12:09:39. UTC", "2023-01-22 12:09:39 CET", "2023-01-22x12:09:39Z", "2023-1-22 12:09:39 UTC",
      "2023-01-22 12:09:39 UTC ", "1969-12-31 23:59:59 UTC", "2023-01-22 12:09:39+1:00",
      "２０２３-01-22 12:09:39",
    ])
  func badTimestamps(text: String) {
    let bytes = Array(text.utf8)
    #expect(TimestampText.parse(bytes.span, 0..<bytes.count) == nil)
  }

  @Test("Stores keep their numbers however many there are, and the newest can be forgotten")
  func storeNumbers() {
    var numbers = StoreNumbers()
    for _ in 0..<2 {
      for store in 0..<10_000 {
        let name = Array("store \(store)".utf8)
        let number = numbers.number(name.span, 0..<name.count)
        #expect(number == Int32(store))
      }
    }
    #expect(numbers.count == 10_000)
    numbers.forget(downTo: 5000)
    let name = Array("another".utf8)
    #expect(numbers.number(name.span, 0..<name.count) == 5000)
    let known = Array("store 4999".utf8)
    #expect(numbers.number(known.span, 0..<known.count) == 4999)
    numbers.forget(downTo: 5000)
    #expect(numbers.count == 5000)
    #expect(numbers.all.allSatisfy { $0.name == "store \($0.number)" })
  }
}
