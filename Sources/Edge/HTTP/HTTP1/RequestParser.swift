import NIOCore
import NIOHTTP1

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Takes what a client of HTTP/1.1 sends apart into requests, by RFC 9112 and without the leniency it permits.
///
/// Whatever could be read in two ways is refused: somebody between the client and us may have read it the other way, and
/// would then take one request for two (request smuggling). llhttp, behind NIO's decoder, is not strict enough for a
/// server that faces the network: it takes several spaces in a request line for one, any number of empty lines before it,
/// chunk extensions and leading zeros without end, fragments, and codings it does not know. Tests hold both side by
/// side: what is taken here, NIO's decoder takes as well, and reads the same.
///
/// Bytes are asked for, not pushed: what follows a request stays here until somebody wants it.
struct RequestParser {
  enum Part: Equatable {
    case head(HTTPRequestHead, BodyLength)
    case body(ByteBuffer)
    /// Of the request. Trailers have been checked like fields, and dropped.
    case end
  }

  struct Limits: Sendable {
    /// Of a request line and its fields, with what separates them; the same again for trailers.
    var headerBytes = 16 << 10
    var headerFields = 100
    /// Of the line in front of a chunk: its length and extensions.
    var chunkLineBytes = 256
    /// Of all extensions in a body. Nobody needs any.
    var chunkExtensionBytes = 16 << 10
  }

  private enum State {
    case head
    case body(left: Int)
    case chunkLine
    case chunk(left: Int)
    case chunkEnd
    case trailers
    /// Nothing after a fault can be trusted to be a request.
    case failed
  }

  private let limits: Limits
  private var state = State.head
  private var buffer = ByteBuffer()
  /// Bytes at the front of `buffer` that have been looked at and hold no line's end.
  private var scanned = 0

  // Of the block of fields that is being received.
  private var line: RequestLine?
  private var headers: [(String, String)] = []
  private var blockBytes = 0
  private var fieldCount = 0
  private var hasSkippedLine = false
  private var extensionBytes = 0

  init(_ limits: Limits = Limits()) {
    self.limits = limits
  }

  /// Bytes that are here and in no part yet.
  var bufferedBytes: Int { buffer.readableBytes }

  /// A request has begun, and its head is not complete.
  var isInHead: Bool {
    if case .head = state { line != nil || buffer.readableBytes > 0 } else { false }
  }

  mutating func feed(_ bytes: ByteBuffer) {
    guard buffer.readableBytes > 0 else { return buffer = bytes }
    buffer.discardReadBytes()
    buffer.writeImmutableBuffer(bytes)
  }

  /// The next part; nil when more bytes are needed for it.
  mutating func next() throws(HTTPRefusal) -> Part? {
    do throws(HTTPRefusal) {
      let part = try advance()
      // What was read is in the parts now; thousands of idle connections need not keep it.
      if buffer.readableBytes == 0 { buffer = ByteBuffer() }
      return part
    } catch {
      state = .failed
      buffer = ByteBuffer()
      throw error
    }
  }

  private mutating func advance() throws(HTTPRefusal) -> Part? {
    while true {
      switch state {
      case .head:
        guard let part = try head() else { return nil }
        return part
      case .body(let left):
        guard left > 0 else { return end() }
        guard let bytes = take(atMost: left) else { return nil }
        state = .body(left: left - bytes.readableBytes)
        return .body(bytes)
      case .chunkLine:
        guard try chunkLine() else { return nil }
      case .chunk(let left):
        guard let bytes = take(atMost: left) else { return nil }
        state = left > bytes.readableBytes ? .chunk(left: left - bytes.readableBytes) : .chunkEnd
        return .body(bytes)
      case .chunkEnd:
        guard let count = try lineLength(atMost: 0, else: .malformed("A chunk is longer than it says."))
        else {
          return nil
        }
        discardLine(count)
        state = .chunkLine
      case .trailers:
        guard try fields(isTrailer: true) else { return nil }
        return end()
      case .failed:
        return nil
      }
    }
  }

  private mutating func end() -> Part {
    state = .head
    line = nil
    headers.removeAll(keepingCapacity: true)
    (blockBytes, fieldCount, extensionBytes, hasSkippedLine) = (0, 0, 0, false)
    return .end
  }

  // MARK: Heads

  private mutating func head() throws(HTTPRefusal) -> Part? {
    if line == nil {
      guard let found = try requestLine() else { return nil }
      line = found
    }
    guard let line, try fields(isTrailer: false) else { return nil }
    let head = HTTPRequestHead(
      version: line.version, method: line.method, uri: line.target, headers: HTTPHeaders(headers))
    let length = try RequestRules.bodyLength(of: head)
    try RequestRules.checkTarget(of: head)
    (blockBytes, fieldCount) = (0, 0)
    switch length {
    case .none: state = .body(left: 0)
    case .bytes(let count): state = .body(left: count)
    case .chunked: state = .chunkLine
    }
    return .head(head, length)
  }

  private mutating func requestLine() throws(HTTPRefusal) -> RequestLine? {
    while let count = try lineLength(atMost: limits.headerBytes - 2, else: .targetTooLong) {
      if count == 0, !hasSkippedLine {
        // RFC 9112 §2.2: some clients end a body with an empty line that does not count.
        hasSkippedLine = true
        discardLine(0)
        continue
      }
      let parsed = buffer.withUnsafeReadableBytes {
        RequestLine.parse(UnsafeRawBufferPointer(rebasing: $0[..<count]))
      }
      blockBytes += count + 2
      discardLine(count)
      return try parsed.get()
    }
    return nil
  }

  /// Takes the lines of a block of fields; true at its end.
  private mutating func fields(isTrailer: Bool) throws(HTTPRefusal) -> Bool {
    // The empty line at the end is not counted.
    while let count = try lineLength(
      atMost: max(limits.headerBytes - blockBytes - 2, 0), else: .headerTooLarge)
    {
      guard count > 0 else {
        discardLine(0)
        return true
      }
      fieldCount += 1
      guard fieldCount <= limits.headerFields else { throw .headerTooLarge }
      let field = buffer.withUnsafeReadableBytes {
        FieldLine.parse(UnsafeRawBufferPointer(rebasing: $0[..<count]))
      }
      guard let field else { throw .malformed("A header field is not as RFC 9112 wants it.") }
      if !isTrailer {
        headers.append(field)
      } else if RequestRules.isFraming(field.name) {
        throw .malformed("A trailer says how long the body is, or for whom.")
      }
      blockBytes += count + 2
      discardLine(count)
    }
    return false
  }

  // MARK: Chunks

  private mutating func chunkLine() throws(HTTPRefusal) -> Bool {
    guard
      let count = try lineLength(
        atMost: limits.chunkLineBytes, else: .malformed("The line in front of a chunk is too long."))
    else { return false }
    let line = buffer.withUnsafeReadableBytes {
      ChunkLine.parse(UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
    guard let line else { throw .malformed("A chunk does not say how long it is.") }
    discardLine(count)
    extensionBytes += line.extensionBytes
    guard extensionBytes <= limits.chunkExtensionBytes else {
      throw .malformed("The body has too many chunk extensions.")
    }
    state = line.size > 0 ? .chunk(left: line.size) : .trailers
    return true
  }

  // MARK: Bytes

  /// The length of the line at the front, without its end; nil when that is not here.
  private mutating func lineLength(
    atMost limit: Int, else failure: @autoclosure () -> HTTPRefusal
  ) throws(HTTPRefusal) -> Int? {
    let end: (at: Int, isCRLF: Bool)? = buffer.withUnsafeReadableBytes { bytes in
      guard let start = bytes.baseAddress, scanned < bytes.count,
        let found = memchr(start + scanned, CInt(UInt8.lineFeed), bytes.count - scanned)
      else { return nil }
      let index = UnsafeRawPointer(found) - start
      return (index, index > 0 && bytes[index - 1] == .carriageReturn)
    }
    guard let end else {
      scanned = buffer.readableBytes
      // A carriage return may be the last byte here, and its line feed under way.
      guard scanned <= limit + 1 else { throw failure() }
      return nil
    }
    scanned = 0
    // RFC 9112 §2.2 lets a recipient take a bare LF for a line's end; the one before us may not have.
    guard end.isCRLF else { throw .malformed("A line ends without a carriage return.") }
    guard end.at - 1 <= limit else { throw failure() }
    return end.at - 1
  }

  private mutating func discardLine(_ count: Int) {
    buffer.moveReaderIndex(forwardBy: count + 2)
  }

  private mutating func take(atMost count: Int) -> ByteBuffer? {
    let count = min(count, buffer.readableBytes)
    return count > 0 ? buffer.readSlice(length: count) : nil
  }
}

/// How the end of a request's body is known.
enum BodyLength: Equatable {
  case none
  case bytes(Int)
  case chunked
}

extension UInt8 {
  static let lineFeed = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
}
