import Gzip
import NIOCore
import RPC

/// From the bytes of an upload to rows of a COPY: gzip if it is gzip, then CSV, then the checks of one kind of
/// file. Holds a piece of each at a time.
struct ImportText<File: ImportedFile>: ~Copyable {
  private var file: File
  private let limits: ImportLimits
  private var inflater: GzipInflater?
  private var inflated: [UInt8] = []
  private var start: [UInt8] = []
  private var hasStarted = false
  private var csv = CSVReader()
  private var columns: CSVColumns?
  private var places: [Range<Int>] = []
  private(set) var stores = StoreNumbers()
  private(set) var tally = ImportTally()

  /// In bytes. Deflate makes at most 1032 of one, so that no piece leaves more than 17 MiB in memory.
  static var largestPiece: Int { 16 * 1024 }

  init(_ file: File, limits: ImportLimits = ImportLimits()) {
    self.file = file
    self.limits = limits
  }

  /// Takes a piece of the upload, of at most `largestPiece`, and appends the rows in it to `rows`.
  mutating func feed(_ bytes: [UInt8], into rows: inout ByteBuffer) throws {
    precondition(
      bytes.count <= Self.largestPiece, "a piece this large could inflate to more than memory holds")
    guard !hasStarted else { return try decode(bytes, into: &rows) }
    start += bytes
    guard start.count >= GzipInflater.magic.count else { return }
    try begin(into: &rows)
  }

  mutating func finish(into rows: inout ByteBuffer) throws {
    if !hasStarted { try begin(into: &rows) }
    do { try inflater?.finish() } catch { throw ImportError(error).rpcError }
    var csv = csv
    do {
      try csv.finish { line, text, fields in try record(line, text, fields, into: &rows) }
    } catch let error as CSVReader.Failure {
      throw ImportError(error).rpcError
    }
    guard columns != nil else { throw ImportError.noHeader.rpcError }
  }

  private mutating func begin(into rows: inout ByteBuffer) throws {
    hasStarted = true
    if start.starts(with: GzipInflater.magic) {
      inflater = try GzipInflater(limit: limits.textBytes)
      inflated = [UInt8](repeating: 0, count: 64 * 1024)
    }
    try decode(start, into: &rows)
    start = []
  }

  private mutating func decode(_ bytes: [UInt8], into rows: inout ByteBuffer) throws {
    guard inflater != nil else { return try split(bytes[...], into: &rows) }
    var inflated: [UInt8] = []
    swap(&inflated, &self.inflated)
    var next = 0
    var count = 0
    repeat {
      do throws(GzipInflater.Failure) {
        count = try inflater?.inflate(bytes, from: &next, into: &inflated) ?? 0
      } catch { throw ImportError(error).rpcError }
      try split(inflated[..<count], into: &rows)
      // What is used up may leave output inside.
    } while next < bytes.count || count == inflated.count
    swap(&inflated, &self.inflated)
  }

  private mutating func split(_ text: ArraySlice<UInt8>, into rows: inout ByteBuffer) throws {
    var csv = CSVReader()
    swap(&csv, &self.csv)
    do {
      try csv.feed(text) { line, text, fields in try record(line, text, fields, into: &rows) }
    } catch let error as CSVReader.Failure {
      throw ImportError(error).rpcError
    }
    swap(&csv, &self.csv)
  }

  private mutating func record(
    _ line: Int, _ text: Span<UInt8>, _ fields: [Range<Int>], into rows: inout ByteBuffer
  ) throws {
    guard let columns else {
      do throws(CSVColumns.Failure) {
        self.columns = try CSVColumns(wanted: File.columns, header: CSVColumns.names(text, fields))
      } catch { throw ImportError(error).rpcError }
      return
    }
    tally.rows += 1
    guard tally.rows <= limits.rows else { throw ImportError.tooManyRows(limits.rows).rpcError }
    let known = stores.count
    do throws(Rejection) {
      guard fields.count == columns.count else {
        throw .wrongFieldCount(fields.count, expected: columns.count)
      }
      places.removeAll(keepingCapacity: true)
      for place in columns.places { places.append(fields[place]) }
      let store = try storeNumber(text, places[0])
      try file.parse(text, places, line: Int32(clamping: line), store: store, into: &rows)
    } catch {
      stores.forget(downTo: known)
      tally.reject(line: line, error)
    }
    guard stores.count <= limits.stores else { throw ImportError.tooManyStores(limits.stores).rpcError }
  }

  private mutating func storeNumber(_ text: Span<UInt8>, _ field: Range<Int>) throws(Rejection) -> Int32 {
    var isASCII = true
    for index in field {
      if text[index] == 0 { throw .badStoreID }
      if text[index] >= 0x80 { isASCII = false }
    }
    guard !field.isEmpty, field.count <= 400 else { throw .badStoreID }
    if !isASCII || field.count > 100 {
      guard let name = String(validating: field.map { text[$0] }, as: UTF8.self),
        name.unicodeScalars.count <= 100
      else { throw .badStoreID }
    }
    return stores.number(text, field)
  }
}
