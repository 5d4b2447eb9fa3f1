import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("The limits of a server") struct ServerLimitTests {
  private let echo = "/test.Service/Echo"

  @Test("A handler too many is UNAVAILABLE on whichever connection, until one has ended, resets included")
  func handlersPerServer() async throws {
    let started = Signal()
    let release = Signal()
    let ended = Signal()
    let deaf = MethodDefinition.unary("Deaf") { message, _ in
      await started.raise()
      // Does not listen to its cancellation, so its stream goes and it stays.
      await release.wait()
      await ended.raise()
      return message
    }
    try await withServer([deaf, .echo], configure: { $0.maxRunningHandlersPerServer = 1 }) { address in
      try await withClient(address) { first in
        try await withClient(address) { second in
          let call = Task { try await first.unary(path: "/test.Service/Deaf", request: ByteBuffer()) }
          await started.wait()
          call.cancel()
          _ = await call.result
          let error = await status { try await second.unary(path: echo, request: ByteBuffer()) }
          #expect(error == .serverIsBusy)
          await release.raise()
          await ended.wait()
          // Its task is about to end on the loop that answers.
          while let error = await status({ try await second.unary(path: echo, request: ByteBuffer()) }) {
            #expect(error == .serverIsBusy)
          }
        }
      }
    }
  }

  @Test("A connection that runs many handlers leaves places for those that run few")
  func shares() async throws {
    let held = HeldCalls()
    try await withServer([held.method, .echo], configure: { $0.maxRunningHandlersPerServer = 64 }) {
      address in
      try await withClient(address) { first in
        try await withClient(address) { second in
          try await withClient(address) { third in
            try await withClient(address) { fourth in
              var shares: [Int] = []
              for client in [first, second, third, fourth] {
                let (running, error) = await held.fill(client)
                shares.append(running)
                #expect(error == .serverIsBusy)
              }
              // A quarter of what the others leave, but never fewer than eight.
              #expect(shares == [13, 10, 8, 8])
              await held.release.raise()
              await held.ended()
            }
          }
        }
      }
    }
  }

  @Test(
    "Handlers that fail, return early or are cancelled give back their place",
    arguments: ["Fail", "Early", "Cancelled"])
  func placesComeBack(method: String) async throws {
    struct Own: Error {}
    let methods = [
      MethodDefinition.unary("Fail") { _, _ in throw Own() },
      .streaming("Early") { _, _, _ in },
      .streaming("Cancelled") { _, _, _ in try await untilCancelled() },
      .echo,
    ]
    try await withLoopback(
      methods,
      configure: {
        $0.maxRunningHandlersPerServer = 2
        $0.maxRunningHandlers = 2
      }
    ) { client in
      for _ in 0..<20 {
        let error = await status {
          try await client.unary(
            path: "/test.Service/\(method)", request: ByteBuffer(),
            options: CallOptions(deadline: method == "Cancelled" ? .now() + .milliseconds(5) : nil))
        }
        #expect(error?.code != .unavailable && error?.code != .resourceExhausted)
      }
      _ = try await client.unary(path: echo, request: ByteBuffer())
    }
  }

  @Test("Messages may be as long as their method says, both ways")
  func messageBytes() async throws {
    let methods: [MethodDefinition] = [
      .echo, .unary("Small") { message, _ in message },
      .unary("Grow") { message, _ in ByteBuffer(repeating: 0, count: message.readableBytes * 2) },
      .streaming("GrowAll") { requests, responses, _ in
        for try await message in requests {
          try await responses.write(ByteBuffer(repeating: 0, count: message.readableBytes * 2))
        }
      },
    ]
    try await withLoopback(
      methods,
      configure: {
        $0.maxMessageBytes = 1000
        $0.methods["test.Service/Small"] = MethodLimits(maxRequestBytes: 10)
        $0.methods["test.Service/Grow"] = MethodLimits(maxResponseBytes: 100)
        $0.methods["test.Service/GrowAll"] = MethodLimits(maxResponseBytes: 100)
      }
    ) { client in
      func code(_ method: String, _ bytes: Int) async -> StatusCode {
        await status {
          try await client.unary(
            path: "/test.Service/\(method)", request: ByteBuffer(repeating: 1, count: bytes))
        }?.code ?? .ok
      }
      #expect(await code("Echo", 1000) == .ok)
      #expect(await code("Echo", 1001) == .resourceExhausted)
      #expect(await code("Small", 10) == .ok)
      #expect(await code("Small", 11) == .resourceExhausted)
      for method in ["Grow", "GrowAll"] {
        #expect(await code(method, 50) == .ok)
        #expect(await code(method, 51) == .resourceExhausted)
      }
    }
  }

  @Test(
    "A call may take what its caller asks, or the default, but no longer than the cap",
    arguments: [
      (asked: nil, default: nil, cap: nil, given: nil),
      (asked: 5, default: nil, cap: nil, given: 5),
      (asked: nil, default: 3, cap: nil, given: 3),
      (asked: 5, default: 3, cap: nil, given: 5),
      (asked: 5, default: 3, cap: 4, given: 4),
      (asked: 2, default: 3, cap: 4, given: 2),
      (asked: nil, default: 9, cap: 4, given: 4),
      (asked: nil, default: nil, cap: 4, given: 4),
    ] as [(asked: Int64?, default: Int64?, cap: Int64?, given: Int64?)])
  func deadlines(asked: Int64?, default: Int64?, cap: Int64?, given: Int64?) {
    func limits(_ method: MethodLimits?, _ configure: (inout RPCServer.Configuration) -> Void) -> CallLimits {
      var configuration = RPCServer.Configuration(address: .inProcess(InProcessListener()))
      configure(&configuration)
      return CallLimits(method, .echo, of: configuration)
    }
    let ofServer = limits(nil) {
      $0.defaultDeadline = `default`.map { .seconds($0) }
      $0.maxDeadline = cap.map { .seconds($0) }
    }
    let ofMethod = limits(
      MethodLimits(defaultDeadline: `default`.map { .seconds($0) }, maxDeadline: cap.map { .seconds($0) })
    ) { _ in }
    for limits in [ofServer, ofMethod] {
      #expect(limits.timeout(asked: asked.map { .seconds($0) }) == given.map { .seconds($0) })
    }
  }

  @Test(
    "A request is no longer than its method's own limit, unless the configuration names another",
    arguments: [(Int.max, nil, 4 << 20), (1000, nil, 1000), (8 << 20, nil, 4 << 20), (1000, 2000, 2000)]
      as [(Int, Int?, Int)])
  func requestLimit(own: Int, configured: Int?, expected: Int) {
    let service = ServiceDefinition(name: "s", methods: [.echo]).limitingRequests(toBytes: own)
    var configuration = RPCServer.Configuration(address: .inProcess(InProcessListener()))
    configuration.methods["s/Echo"] = configured.map { MethodLimits(maxRequestBytes: $0) }
    let table = MethodTable([service], configuration: configuration)
    #expect(table.methods.first?.limits.maxRequestBytes == expected)
  }

  @Test("A call without a deadline is ended by the server's")
  func defaultDeadline() async throws {
    let stuck = MethodDefinition.unary("Stuck") { message, _ in
      try await untilCancelled()
      return message
    }
    try await withLoopback([stuck], configure: { $0.defaultDeadline = .milliseconds(20) }) { client in
      let error = await status { try await client.unary(path: "/test.Service/Stuck", request: ByteBuffer()) }
      #expect(error?.code == .deadlineExceeded)
    }
  }

  @Test(
    "A deadline that passes is told by the status, and a client that still sends is told to stop",
    arguments: [
      (asked: "5m", limit: nil), (asked: nil, limit: .milliseconds(5)),
      (asked: "9S", limit: .milliseconds(5)),
    ]
      as [(asked: String?, limit: Duration?)])
  func expiry(asked: String?, limit: Duration?) async throws {
    let cancelled = Signal()
    let stuck = MethodDefinition.streaming("Stuck") { _, _, _ in
      do { try await untilCancelled() } catch { await cancelled.raise() }
    }
    try await withServer([stuck], configure: { $0.maxDeadline = limit }) { address in
      let ending = try await RawCall.ending(of: "/test.Service/Stuck", timeout: asked, at: address)
      #expect(ending.fields.contains("grpc-status: 4"))
      #expect(ending.hasEnded)
      #expect(ending.code == .noError)
      await cancelled.wait()
    }
  }
}
