/// What happens on one stream. Called on the event loop, some of it from inside nghttp2: a delegate may submit
/// to its stream, but starts no foreign code; that waits for `inboundBatchEnded`.
package protocol HTTP2StreamDelegate: AnyObject {
  /// A field of the header list being received. The pointers are good for the call only.
  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
  /// The header list is complete. `trailing` once the stream has had its headers before.
  func headersEnded(trailing: Bool)
  /// Body bytes, charged to the stream's window until `HTTP2Stream.consume`.
  func received(data: UnsafeRawBufferPointer)
  /// The peer will send nothing more.
  func inboundEnded()
  /// Bytes the stream had queued have been handed to the socket.
  func outboundMoved()
  /// The stream is gone, whatever its state was. Nothing is called after it.
  func closed(_ code: HTTP2ErrorCode)
}

/// What happens on one connection, on its event loop.
package protocol HTTP2ConnectionDelegate: AnyObject {
  /// The peer opened a stream. Servers only.
  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate
  /// All bytes read so far are processed; whatever they caused may now run. What it submits joins the same write.
  func inboundBatchEnded()
  func settingsReceived()
  /// The peer will accept no further streams.
  func goAwayReceived()
  /// Streams were closed before this call.
  func connectionClosed()
}
