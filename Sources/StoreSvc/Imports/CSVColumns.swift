/// Where the columns an import needs stand in its file, found by the names in the header line.
struct CSVColumns {
  /// Fields a record must have.
  let count: Int
  /// For each column asked for, its place.
  let places: [Int]

  enum Failure: Error, Equatable {
    case missing(String)
    case repeated(String)
    case noHeader
  }

  /// - Parameter wanted: for each column the names it goes by, the usual one first.
  init(wanted: [[String]], header: [String]) throws(Failure) {
    var places: [Int] = []
    for names in wanted {
      let found = header.indices.filter { names.contains(header[$0]) }
      guard let place = found.first else { throw .missing(names[0]) }
      guard found.count == 1 else { throw .repeated(header[found[1]]) }
      places.append(place)
    }
    self.places = places
    count = header.count
  }

  /// The names in a header line; a byte order mark before them is what spreadsheets leave.
  static func names(_ text: Span<UInt8>, _ fields: [Range<Int>]) -> [String] {
    fields.enumerated().map { index, field in
      let bytes = field.map { text[$0] }
      let name = String(
        decoding: index == 0 && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...],
        as: UTF8.self)
      return String(name.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
  }
}
