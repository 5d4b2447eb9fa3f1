internal import CZlib

/// Makes gzip (RFC 1952) of whole messages, one after the other, with one state: zlib's takes a quarter of a
/// megabyte, too much to allocate for each.
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
}
