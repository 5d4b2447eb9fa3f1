internal import CZlib

/// Makes gzip (RFC 1952) of messages, whole or a piece at a time, one after the other with one state: zlib's takes a quarter
/// of a megabyte, too much to allocate for each.
package struct GzipDeflater: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private let isUsable: Bool

  package init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 15 is the largest window; 16 asks for gzip and its checksum. 8 is zlib's own choice of memory.
    let status = deflateInit2_(
      stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    isUsable = status == Z_OK
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Compresses all of `input` into `output` and returns how long it came out; `nil` if it does not fit.
  package mutating func deflate(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) -> Int? {
    guard isUsable, deflateReset(stream) == Z_OK else { return nil }
    // zlib reads through this pointer and never writes.
    let bytes = UnsafeMutableRawPointer(mutating: input.baseAddress)
    stream.pointee.next_in = bytes?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = UInt32(clamping: input.count)
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: output.count)
    guard CZlib.deflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
    return output.count - Int(stream.pointee.avail_out)
  }

  /// What is to become of a piece.
  package enum Flush: Sendable {
    /// It may stay inside until more has come.
    case none
    /// Whoever has everything so far can inflate it.
    case sync
    /// It is the last.
    case finish
  }

  /// Takes bytes of a piece from the front of `input`. Call it with the same `flush` until it says that it is done with the
  /// piece: nil means that it never will be.
  package mutating func deflate(
    _ input: inout UnsafeRawBufferPointer, _ flush: Flush, into output: UnsafeMutableRawBufferPointer
  ) -> (produced: Int, isDone: Bool?) {
    guard isUsable else { return (0, nil) }
    let bytes = UnsafeMutableRawPointer(mutating: input.baseAddress)
    stream.pointee.next_in = bytes?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = UInt32(clamping: input.count)
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: output.count)
    let offered = stream.pointee.avail_in
    let mode =
      switch flush {
      case .none: Z_NO_FLUSH
      case .sync: Z_SYNC_FLUSH
      case .finish: Z_FINISH
      }
    let status = CZlib.deflate(stream, mode)
    input = UnsafeRawBufferPointer(rebasing: input.dropFirst(Int(offered - stream.pointee.avail_in)))
    let produced = output.count - Int(stream.pointee.avail_out)
    switch status {
    case Z_STREAM_END: return (produced, true)
    // With room left over, nothing of it is kept back. A flush that has nothing more to do is a Z_BUF_ERROR.
    case Z_OK, Z_BUF_ERROR:
      return (produced, flush != .finish && input.isEmpty && stream.pointee.avail_out > 0)
    default: return (produced, nil)
    }
  }

  /// Begins anew, whatever became of the last message.
  package mutating func reset() {
    deflateReset(stream)
  }
}
