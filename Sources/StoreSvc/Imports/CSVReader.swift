/// Splits CSV (RFC 4180) into records, a piece of text at a time. LF and CRLF end a line, a quoted field may hold
/// both, empty lines are no records.
struct CSVReader {
  /// The unfinished record at the end of what was fed so far.
  private var buffer: [UInt8] = []
  private var fields: [Range<Int>] = []
  /// The line the next record begins on, from 1.
  private var line = 1

  /// A record as a view that ends with the call it is given to.
  typealias Body = (_ line: Int, _ text: Span<UInt8>, _ fields: [Range<Int>]) throws -> Void

  /// A record is a few ids and times; one of this size means a quote that never closes.
  static let largestRecord = 64 * 1024

  enum Failure: Error {
    case recordTooLong(line: Int)
    case unclosedQuote(line: Int)
  }

  mutating func feed(_ bytes: ArraySlice<UInt8>, _ body: Body) throws {
    buffer.append(contentsOf: bytes)
    // Taken out of self for the time a view of it is lent.
    var text: [UInt8] = []
    swap(&text, &buffer)
    var start = 0
    while try record(text.span, from: &start, isLast: false, body) {}
    text.removeFirst(start)
    swap(&text, &buffer)
    guard buffer.count <= Self.largestRecord else { throw Failure.recordTooLong(line: line) }
  }

  /// The last line need not end.
  mutating func finish(_ body: Body) throws {
    var text: [UInt8] = []
    swap(&text, &buffer)
    var start = 0
    while try record(text.span, from: &start, isLast: true, body) {}
  }

  /// Reads one record; false when there is no whole one.
  private mutating func record(
    _ text: Span<UInt8>, from start: inout Int, isLast: Bool, _ body: Body
  ) throws -> Bool {
    fields.removeAll(keepingCapacity: true)
    var fieldStart = start
    var index = start
    while index < text.count {
      let byte = text[unchecked: index]
      if byte == UInt8(ascii: ",") {
        fields.append(fieldStart..<index)
        fieldStart = index + 1
      } else if byte == UInt8(ascii: "\n") {
        break
      } else if byte == UInt8(ascii: "\""), index == fieldStart {
        return try quotedRecord(text, from: &start, isLast: isLast, body)
      }
      index += 1
    }
    guard index < text.count || (isLast && index > start) else { return false }
    let hasReturn = index > fieldStart && text[index - 1] == UInt8(ascii: "\r")
    fields.append(fieldStart..<(hasReturn ? index - 1 : index))
    if fields.count > 1 || fields[0].count > 0 { try body(line, text, fields) }
    start = min(index + 1, text.count)
    line += 1
    return true
  }

  /// The same for a record with a quoted field; slower, and rare.
  private mutating func quotedRecord(
    _ text: Span<UInt8>, from start: inout Int, isLast: Bool, _ body: Body
  ) throws -> Bool {
    fields.removeAll(keepingCapacity: true)
    // What the record says differs from its bytes, so it gets an array of its own.
    var unquoted: [UInt8] = []
    var lines = 0
    var fieldStart = 0
    var isQuoted = false
    var mayOpen = true
    var index = start
    loop: while index < text.count {
      let byte = text[index]
      switch byte {
      case UInt8(ascii: "\"") where isQuoted:
        // The last byte so far may be the end of the field or the first of a doubled quote.
        if index + 1 == text.count, !isLast { return false }
        if index + 1 < text.count, text[index + 1] == byte {
          unquoted.append(byte)
          index += 1
        } else {
          isQuoted = false
        }
      case UInt8(ascii: "\"") where mayOpen:
        isQuoted = true
        mayOpen = false
      case UInt8(ascii: ",") where !isQuoted:
        fields.append(fieldStart..<unquoted.count)
        fieldStart = unquoted.count
        mayOpen = true
      case UInt8(ascii: "\n") where !isQuoted:
        break loop
      default:
        if byte == UInt8(ascii: "\n") { lines += 1 }
        unquoted.append(byte)
        mayOpen = false
      }
      index += 1
    }
    if isQuoted, isLast { throw Failure.unclosedQuote(line: line) }
    guard index < text.count || isLast else { return false }
    let hasReturn = unquoted.count > fieldStart && unquoted.last == UInt8(ascii: "\r")
    fields.append(fieldStart..<(hasReturn ? unquoted.count - 1 : unquoted.count))
    try body(line, unquoted.span, fields)
    start = min(index + 1, text.count)
    line += lines + 1
    return true
  }
}
