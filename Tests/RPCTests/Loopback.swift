import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

@testable import RPC

/// A server on a loopback port the kernel chooses, for the duration of `body`.
func withServer<Result: Sendable>(
  _ methods: [MethodDefinition], configure: (inout RPCServer.Configuration) -> Void = { _ in },
  logger: Logger = .quiet, body: (RPCAddress) async throws -> Result
) async throws -> Result {
  let running = try await RunningServer.start(methods, configure: configure, logger: logger)
  do {
    let result = try await body(running.address)
    await running.stop()
    return result
  } catch {
    await running.stop()
    throw error
  }
}

/// The same with a client of that server.
func withLoopback<Result: Sendable>(
  _ methods: [MethodDefinition], configure: (inout RPCServer.Configuration) -> Void = { _ in },
  client: RPCClient.Configuration = .init(), body: (RPCClient) async throws -> Result
) async throws -> Result {
  try await withServer(methods, configure: configure) { address in
    try await withClient(address, configuration: client, body: body)
  }
}

func withClient<Result: Sendable>(
  _ address: RPCAddress, configuration: RPCClient.Configuration = .init(),
  body: (RPCClient) async throws -> Result
) async throws -> Result {
  try await withClient(RPCTarget(address), configuration: configuration, body: body)
}

func withClient<Result: Sendable>(
  _ target: RPCTarget, configuration: RPCClient.Configuration = .init(),
  body: (RPCClient) async throws -> Result
) async throws -> Result {
  let client = RPCClient(
    target: target, configuration: configuration, eventLoopGroup: loops.client, logger: .quiet)
  let started = Started()
  let group = ServiceGroup(services: [client, started], logger: .quiet)
  let running = Task { try await group.run() }
  // A group that is told to stop before it runs does not stop.
  await started.signal.wait()
  do {
    let result = try await body(client)
    await group.triggerGracefulShutdown()
    try await running.value
    return result
  } catch {
    await group.triggerGracefulShutdown()
    try await running.value
    throw error
  }
}

private struct Started: Service {
  let signal = Signal()
  func run() async throws {
    await signal.raise()
    try? await gracefulShutdown()
  }
}

struct RunningServer: Sendable {
  let address: RPCAddress
  let server: RPCServer
  private let group: ServiceGroup
  private let running: Task<Void, any Error>

  static func start(
    _ methods: [MethodDefinition], and services: [ServiceDefinition] = [],
    configure: (inout RPCServer.Configuration) -> Void = { _ in },
    admit: @escaping RPCServer.Admission = { _, _ in }, interceptors: [ServerInterceptor] = [],
    logger: Logger = .quiet
  ) async throws -> RunningServer {
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    configuration.shutdownGrace = .seconds(2)
    configure(&configuration)
    let server = RPCServer(
      services: [ServiceDefinition(name: "test.Service", methods: methods)] + services,
      configuration: configuration,
      eventLoopGroup: loops.server, admit: admit, interceptors: interceptors, logger: logger)
    let group = ServiceGroup(services: [server], logger: .quiet)
    let running = Task { try await group.run() }
    let bound = try await server.boundAddress
    let address: RPCAddress =
      if case .inProcess = configuration.address {
        configuration.address
      } else if let path = bound.pathname, !path.isEmpty {
        .unix(path: path)
      } else {
        .tcp(host: "127.0.0.1", port: bound.port ?? 0)
      }
    return RunningServer(address: address, server: server, group: group, running: running)
  }

  /// Drains the server and returns when its last connection has closed.
  func stop() async {
    await group.triggerGracefulShutdown()
    _ = await running.result
  }
}

/// Server and client have loops of their own, as they have processes of their own elsewhere.
let loops = (
  server: MultiThreadedEventLoopGroup(numberOfThreads: 1),
  client: MultiThreadedEventLoopGroup(numberOfThreads: 1)
)

extension Logger {
  static let quiet = Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() })
}

extension MethodDefinition {
  static func unary(
    _ name: String, _ handler: @escaping @Sendable (ByteBuffer, CallContext) async throws -> ByteBuffer
  ) -> MethodDefinition {
    MethodDefinition(name: name, access: .public, handler: .unary(handler))
  }

  static func streaming(
    _ name: String,
    _ handler:
      @escaping @Sendable (RequestStream<ByteBuffer>, ResponseWriter<ByteBuffer>, CallContext) async throws ->
      Void
  ) -> MethodDefinition {
    MethodDefinition(name: name, access: .public, handler: .streaming(handler))
  }

  static let echo = unary("Echo") { message, _ in message }
  static let echoAll = streaming("EchoAll") { requests, responses, _ in
    for try await message in requests { try await responses.write(message) }
  }
}

/// Lets one side of a test wait for the other.
actor Signal {
  private var isRaised = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func raise() {
    isRaised = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }

  func wait() async {
    if isRaised { return }
    await withCheckedContinuation { waiting.append($0) }
  }
}

/// Suspends until the task is cancelled.
func untilCancelled() async throws {
  let (stream, _) = AsyncStream<Never>.makeStream()
  for await _ in stream {}
  throw CancellationError()
}

func status(_ body: () async throws -> some Sendable) async -> RPCError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? RPCError ?? RPCError(.unknown, "not an RPCError: \(error)")
  }
}

final class Count: Sendable {
  private let atomic = Atomic(0)
  var value: Int { atomic.load(ordering: .sequentiallyConsistent) }

  @discardableResult
  func add(_ amount: Int) -> Int { atomic.add(amount, ordering: .sequentiallyConsistent).newValue }
}

extension ClientCall {
  static func once(
    on channel: LoopChannel, path: String, _ options: CallOptions = CallOptions()
  ) -> ClientCall {
    let settings = CallSettings(channel.configuration)
    return ClientCall(channel, settings, settings.method(path, isIdempotent: false), options)
  }
}
