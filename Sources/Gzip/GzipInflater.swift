internal import CZlib

/// Inflates gzip (RFC 1952), a piece at a time, into memory the caller provides.
package struct GzipInflater: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private var limit: Int
  private var produced = 0
  /// Whether the last member is complete, so that the input may end here.
  private var isComplete = false

  package static let magic: [UInt8] = [0x1F, 0x8B]

  package enum Failure: Error, Equatable {
    /// The bytes are not gzip, or its checksum does not fit.
    case corrupt
    case truncated
    /// More than `limit` bytes came out: a bomb, or more than was agreed on.
    case tooLarge(limit: Int)
  }

  /// - Parameter limit: the most bytes to let out.
  package init(limit: Int) throws(Failure) {
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

  /// Takes bytes from the front of `input` and returns how many came out. Call it until `input` is empty and
  /// `output` was not filled: what is used up may leave output inside.
  package mutating func inflate(
    _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(Failure) -> Int {
    if isComplete {
      guard !input.isEmpty else { return 0 }
      // Members may follow each other, as `cat a.gz b.gz` makes them.
      guard inflateReset(stream) == Z_OK else { throw .corrupt }
      isComplete = false
    }
    let (status, count) = step(&input, into: output)
    produced += count
    guard produced <= limit else { throw .tooLarge(limit: limit) }
    switch status {
    case Z_STREAM_END: isComplete = true
    case Z_OK: break
    // Nothing could be done: there is neither input nor output left inside, or no room for it.
    case Z_BUF_ERROR where input.isEmpty || output.isEmpty: break
    default: throw .corrupt
    }
    return count
  }

  /// The same for arrays: takes from `next` on, and moves it.
  package mutating func inflate(
    _ input: [UInt8], from next: inout Int, into output: inout [UInt8]
  ) throws(Failure) -> Int {
    let start = next
    return try input.withUnsafeBufferPointer { input throws(Failure) in
      try output.withUnsafeMutableBufferPointer { output throws(Failure) in
        var rest = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[start...])
        defer { next = input.count - rest.count }
        return try inflate(&rest, into: UnsafeMutableRawBufferPointer(output))
      }
    }
  }

  /// Begins anew, with other input.
  package mutating func reset(limit: Int) {
    self.limit = limit
    produced = 0
    isComplete = false
    inflateReset(stream)
  }

  /// Call at the end of the input.
  package func finish() throws(Failure) {
    guard isComplete else { throw .truncated }
  }

  private func step(
    _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) -> (status: Int32, produced: Int) {
    // zlib reads through this pointer and never writes.
    let bytes = UnsafeMutableRawPointer(mutating: input.baseAddress)
    stream.pointee.next_in = bytes?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = UInt32(clamping: input.count)
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: output.count)
    let offered = stream.pointee.avail_in
    let room = stream.pointee.avail_out
    let status = CZlib.inflate(stream, Z_NO_FLUSH)
    input = UnsafeRawBufferPointer(rebasing: input.dropFirst(Int(offered - stream.pointee.avail_in)))
    return (status, Int(room - stream.pointee.avail_out))
  }
}
