import CZlib

/// Inflates gzip (RFC 1952), a piece at a time, in constant memory. The one place that touches zlib.
struct GzipInflater: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private let limit: Int
  private var written = 0
  private var output = [UInt8](repeating: 0, count: 64 * 1024)
  /// Whether the last member is complete, so that the input may end here.
  private var isComplete = false

  static let magic: [UInt8] = [0x1F, 0x8B]

  enum Failure: Error, Equatable {
    /// The bytes are not gzip, or its checksum does not fit.
    case corrupt
    case truncated
    /// More than `limit` bytes came out: a bomb, or a file to be split.
    case tooLarge(limit: Int)
  }

  /// - Parameter limit: the most bytes to let out.
  init(limit: Int) throws(Failure) {
    self.limit = limit
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 15 is the largest window; 16 asks for gzip and its checksum.
    guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .corrupt
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Inflates a piece of input and hands out what came of it.
  mutating func inflate(_ input: [UInt8], _ body: (ArraySlice<UInt8>) throws -> Void) throws {
    var input = input
    var start = 0
    while start < input.count {
      if isComplete {
        // Members may follow each other, as `cat a.gz b.gz` makes them.
        guard inflateReset(stream) == Z_OK else { throw Failure.corrupt }
        isComplete = false
      }
      let (status, consumed, produced) = step(&input, from: start)
      start += consumed
      written += produced
      guard written <= limit else { throw Failure.tooLarge(limit: limit) }
      if produced > 0 { try body(output[..<produced]) }
      switch status {
      case Z_OK: continue
      case Z_STREAM_END: isComplete = true
      // Nothing could be done: the input is used up, or it asks for what gzip never needs.
      case Z_BUF_ERROR where consumed > 0 || produced > 0: continue
      default: throw Failure.corrupt
      }
    }
    // Input can be used up while output is left inside.
    while !isComplete {
      var none: [UInt8] = []
      let (status, _, produced) = step(&none, from: 0)
      written += produced
      guard written <= limit else { throw Failure.tooLarge(limit: limit) }
      if produced > 0 { try body(output[..<produced]) }
      if status == Z_STREAM_END { isComplete = true }
      guard status == Z_OK, produced == output.count else { break }
    }
  }

  /// Call at the end of the input.
  func finish() throws(Failure) {
    guard isComplete else { throw .truncated }
  }

  private mutating func step(
    _ input: inout [UInt8], from start: Int
  ) -> (status: Int32, consumed: Int, produced: Int) {
    let stream = stream
    let available = input.count - start
    return input.withUnsafeMutableBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        stream.pointee.next_in = input.baseAddress.map { $0 + start }
        stream.pointee.avail_in = UInt32(available)
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = UInt32(output.count)
        let status = CZlib.inflate(stream, Z_NO_FLUSH)
        return (
          status, available - Int(stream.pointee.avail_in), output.count - Int(stream.pointee.avail_out)
        )
      }
    }
  }
}
