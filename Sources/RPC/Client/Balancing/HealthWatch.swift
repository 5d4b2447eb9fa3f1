import HTTP2
import NIOCore

/// Asks a server over one of its connections how a service is, and is told whenever that changes:
/// `grpc.health.v1.Health/Watch` (gRFC A17).
///
/// A server without the health service counts as well. When the watch ends in another way, the last answer no longer
/// holds, and it is begun again after a pause.
final class HealthWatch {
  let connection: ClientConnection
  private let service: String
  private let authority: [UInt8]
  private let backoff: Backoff
  private let changed: (Subchannel.Health) -> Void
  private var stream: Watching?
  private var failures = 0
  private var retry: Scheduled<Void>?
  private var isStopped = false

  init(
    of service: String, on connection: ClientConnection, _ authority: [UInt8], _ backoff: Backoff,
    changed: @escaping (Subchannel.Health) -> Void
  ) {
    self.connection = connection
    self.service = service
    self.authority = authority
    self.backoff = backoff
    self.changed = changed
    start()
  }

  /// One of its connection's streams is the watch's own, or was when the connection was lost.
  var hasStream: Bool { stream != nil }

  /// A connection that drains waits for its streams, so for this one.
  func stop() {
    isStopped = true
    retry?.cancel()
    stream?.stop()
    stream = nil
  }

  private func start() {
    var block = HeaderBlock.requestStart(isSecure: connection.isSecure)
    block.add(":path", "/grpc.health.v1.Health/Watch")
    block.add(":authority", authority)
    block.add("te", "trailers")
    block.add("content-type", "application/grpc")
    let watching = Watching(
      received: { [weak self] in self?.received($0) },
      ended: { [weak self] in self?.ended($0, isLost: $1) })
    guard let stream = connection.http2?.open(block, delegate: watching) else { return }
    let request = HealthMessage.request(service: service)
    stream.write(.lengthPrefix(flag: 0, length: UInt32(request.readableBytes)), request)
    stream.finish(trailers: nil)
    watching.stream = stream
    self.stream = watching
  }

  private func received(_ response: ByteBuffer) {
    guard !isStopped else { return }
    failures = 0
    changed(HealthMessage.isServing(response) ? .serving : .notServing)
  }

  private func ended(_ error: RPCError?, isLost: Bool) {
    // A connection that is lost takes its streams with it, this one among the first. What that means for calls is the
    // subchannel's to say, which stops the watch; of the server's health it tells nothing.
    guard !isStopped, !isLost else { return }
    stream = nil
    if error?.code == .unimplemented { return changed(.serving) }
    failures += 1
    changed(.notServing)
    guard !isStopped, let eventLoop = connection.channel?.eventLoop else { return }
    let pause = backoff.pause(failures: failures, random: .random(in: -1...1))
    retry = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) { self.start() }
  }

  /// The stream of one watch.
  private final class Watching: HTTP2StreamDelegate {
    var stream: HTTP2Stream?
    private var state = ClientAttemptState(maxMessageBytes: 1 << 10)
    private let received: (ByteBuffer) -> Void
    private let ended: (RPCError?, _ isLost: Bool) -> Void
    private var isLost = false

    init(received: @escaping (ByteBuffer) -> Void, ended: @escaping (RPCError?, _ isLost: Bool) -> Void) {
      self.received = received
      self.ended = ended
    }

    func stop() {
      perform(state.finish(nil, reset: true))
    }

    func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
      state.received(name: name, value: value)
    }
    func headersEnded(trailing: Bool) { perform(state.headersEnded()) }
    func received(data: UnsafeRawBufferPointer) {
      perform(state.received(data))
      stream?.consume(state.takeReturnable())
    }
    func inboundEnded() { perform(state.inboundEnded()) }
    func outboundMoved() {}
    func closed(_ code: HTTP2ErrorCode) {
      isLost = (stream?.connection?.lostStreamCount ?? 0) > 0
      stream = nil
      perform(state.closed(code, reason: nil))
    }

    private func perform(_ action: ClientAttemptState.Action) {
      switch action {
      case .none, .headers: break
      case .wakeReader:
        while case .message(let message)? = try? state.next() { received(message) }
      case .finish(let reset):
        if reset { stream?.reset(.cancel) }
        ended(state.error, isLost)
      }
    }
  }
}

/// The two messages of `grpc/health/v1/health.proto`, which have a field each.
enum HealthMessage {
  /// `HealthCheckRequest { string service = 1; }`
  static func request(service: String) -> ByteBuffer {
    var buffer = ByteBuffer()
    guard !service.isEmpty else { return buffer }
    buffer.writeInteger(UInt8(1 << 3 | 2))
    var length = service.utf8.count
    while length > 0x7f {
      buffer.writeInteger(UInt8(length & 0x7f | 0x80))
      length >>= 7
    }
    buffer.writeInteger(UInt8(length))
    buffer.writeString(service)
    return buffer
  }

  /// `HealthCheckResponse { ServingStatus status = 1; }`, where SERVING is 1. Its proto has had no other field since
  /// it was written; a response with more, or with one that cannot be read, is not one that says SERVING.
  static func isServing(_ response: ByteBuffer) -> Bool {
    response.readableBytesView.elementsEqual([1 << 3 | 0, 1])
  }
}
