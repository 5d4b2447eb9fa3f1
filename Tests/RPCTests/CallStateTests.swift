import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("Messages arriving") struct InboundMessagesTests {
  private func frame(_ message: String, flag: UInt8 = 0) -> [UInt8] {
    [flag, 0, 0, 0, UInt8(message.utf8.count)] + Array(message.utf8)
  }

  @Test("are cut out of the bytes however these are cut", arguments: 1...20)
  func chunks(size: Int) throws {
    let bytes = frame("hello") + frame("") + frame("wonderful") + frame("x")
    var messages = InboundMessages(maxMessageBytes: 100)
    var taken: [String] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      try Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes { try messages.receive($0) }
      while let message = try messages.take() { taken.append(String(buffer: message)) }
    }
    #expect(taken == ["hello", "", "wonderful", "x"])
    #expect(messages.isAtBoundary)
  }

  @Test(
    "that break the framing end the call",
    arguments: [
      ([1, 0, 0, 0, 1], StatusCode.internal), ([2, 0, 0, 0, 1], .internal),
      ([0, 0, 0, 0, 101], .resourceExhausted),
      ([0, 255, 255, 255, 255], .resourceExhausted),
    ])
  func badPrefix(prefix: [UInt8], code: StatusCode) {
    var messages = InboundMessages(maxMessageBytes: 100)
    let error = #expect(throws: RPCError.self) { try prefix.withUnsafeBytes { try messages.receive($0) } }
    #expect(error?.code == code)
  }

  @Test("keep the window charged until they are taken, but never while none waits")
  func window() throws {
    var messages = InboundMessages(maxMessageBytes: 100)
    // Part of a message: its bytes go back at once, or one longer than the window would never complete.
    try ([0, 0, 0, 0] as [UInt8]).withUnsafeBytes { try messages.receive($0) }
    #expect(messages.takeReturnable() == 4)
    try ([3, 1, 2, 3] + frame("hello") + frame("wor").prefix(6)).withUnsafeBytes { try messages.receive($0) }
    #expect(messages.takeReturnable() == 0)
    var message = try messages.take()
    #expect(message?.readableBytes == 3)
    // Eight, of which four went back before: the next message's first four stand in for them.
    #expect(messages.takeReturnable() == 8)
    message = try messages.take()
    #expect(message?.readableBytes == 5)
    #expect(messages.takeReturnable() == 12)
    #expect(try messages.take() == nil)
    #expect(messages.takeReturnable() == 0)
  }

  @Test("are counted until they are taken, returned to the window or not")
  func buffered() throws {
    var messages = InboundMessages(maxMessageBytes: 100)
    try ([0, 0, 0, 0] as [UInt8]).withUnsafeBytes { try messages.receive($0) }
    _ = messages.takeReturnable()
    #expect(messages.bufferedBytes == 4)
    try ([3, 1, 2, 3] + frame("hello") + frame("wor").prefix(6)).withUnsafeBytes { try messages.receive($0) }
    #expect(messages.bufferedBytes == 24)
    _ = try messages.take()
    #expect(messages.bufferedBytes == 16)
    _ = try messages.take()
    #expect(messages.bufferedBytes == 6)
  }
}

@Suite("Messages waiting") struct WaitingMessagesTests {
  private func taken(_ sizes: [Int], atOnce: Int, takingEach: Int) throws -> [ByteBuffer] {
    var bytes = ByteBuffer()
    for (index, size) in sizes.enumerated() {
      bytes.writeInteger(UInt8(0))
      bytes.writeInteger(UInt32(size))
      bytes.writeRepeatingByte(UInt8(truncatingIfNeeded: index), count: size)
    }
    var messages = InboundMessages(maxMessageBytes: 1 << 20)
    var taken: [ByteBuffer] = []
    while let part = bytes.readSlice(length: min(atOnce, bytes.readableBytes)), part.readableBytes > 0 {
      try part.withUnsafeReadableBytes { try messages.receive($0) }
      for _ in 0..<takingEach { if let message = try messages.take() { taken.append(message) } }
    }
    while let message = try messages.take() { taken.append(message) }
    #expect(messages.bufferedBytes == 0 && messages.isAtBoundary)
    return taken
  }

  @Test(
    "are taken as they came, however many wait and however fast they are taken",
    arguments: [1, 7, 100, 16_384, 1 << 20], [0, 1, 3])
  func order(atOnce: Int, takingEach: Int) throws {
    let sizes = [3, 0, 70_000, 1, 5000, 0, 0, 9000, 20_000] + Array(repeating: 2, count: 500)
    let taken = try taken(sizes, atOnce: atOnce, takingEach: takingEach)
    #expect(taken.map(\.readableBytes) == sizes)
    #expect(
      taken.enumerated().allSatisfy { index, message in
        message.readableBytesView.allSatisfy { $0 == UInt8(truncatingIfNeeded: index) }
      })
    // A message that is kept keeps no others.
    #expect(taken.allSatisfy { $0.storageCapacity <= max(256, 4 * $0.readableBytes) })
  }

  @Test("break the call as soon as they are here, behind others too")
  func broken() {
    var messages = InboundMessages(maxMessageBytes: 10)
    let bytes: [UInt8] = [0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]
    let error = #expect(throws: RPCError.self) { try bytes.withUnsafeBytes { try messages.receive($0) } }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("are let go when the call ends, and their bytes returned")
  func removed() throws {
    var messages = InboundMessages(maxMessageBytes: 10)
    let bytes: [UInt8] = [0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1, 8, 0, 0]
    try bytes.withUnsafeBytes { try messages.receive($0) }
    messages.removeAll()
    #expect(messages.bufferedBytes == 0 && messages.count == 0)
    #expect(messages.takeReturnable() == bytes.count)
    #expect(try messages.take() == nil)
  }
}

@Suite("Tasks waiting on a call") struct WaitersTests {
  @Test("are woken by their own cancellation only, early or late")
  func cancellation() async throws {
    var waiters = Waiters<Int>()
    let early = Wait()
    waiters.cancel(early)
    await #expect(throws: CancellationError.self) {
      try await withUnsafeThrowingContinuation { waiters.add($0, early) }
    }
    let next = Wait()
    let value = try await withUnsafeThrowingContinuation { continuation in
      waiters.add(continuation, next)
      waiters.cancel(early)
      waiters.resume(returning: 1)
    }
    #expect(value == 1)
    // Late: its task has gone on, and must not take the next one's place with it.
    waiters.cancel(next)
    let last = try await withUnsafeThrowingContinuation { continuation in
      waiters.add(continuation, Wait())
      waiters.resume(returning: 2)
    }
    #expect(last == 2)
    await #expect(throws: CancellationError.self) {
      let during = Wait()
      return try await withUnsafeThrowingContinuation { continuation in
        waiters.add(continuation, during)
        waiters.cancel(during)
      }
    }
  }
}

@Suite("A call on the server") struct ServerCallStateTests {
  static let methods = {
    var configuration = RPCServer.Configuration(address: .inProcess(InProcessListener()))
    configuration.maxMessageBytes = 100
    return MethodTable(
      [
        ServiceDefinition(
          name: "s",
          methods: [.unary("Unary") { message, _ in message }, .streaming("Stream") { _, _, _ in }])
      ], configuration: configuration)
  }()

  static let good = [
    ":method": "POST", ":path": "/s/Unary", "content-type": "application/grpc", "te": "trailers",
  ]

  private func call(_ headers: [String: String]) -> (ServerCallState, ServerCallState.Action) {
    var state = ServerCallState(maxHeaderListBytes: 1000)
    for (name, value) in headers {
      Array(name.utf8).withUnsafeBytes { name in
        Array(value.utf8).withUnsafeBytes { state.received(name: name, value: $0, methods: Self.methods) }
      }
    }
    let action = state.headersEnded()
    return (state, action)
  }

  @Test(
    "is refused by its headers",
    arguments: [
      ([":method": "GET"], RequestHead.Refusal.http(status: 405)),
      (["content-type": "application/json"], .http(status: 415)),
      (["content-type": "application/grpcx"], .http(status: 415)),
      (["content-type": ""], .http(status: 415)),
      ([":path": "/s/Nope"], .status(RPCError(.unimplemented, "unknown method /s/Nope"))),
      (
        ["grpc-encoding": "br"],
        .status(RPCError(.unimplemented, "unknown grpc-encoding br; use identity,gzip"))
      ),
      (["grpc-timeout": "soon"], .status(RPCError(.internal, "malformed grpc-timeout soon"))),
      (
        ["x": String(repeating: "x", count: 900)],
        .status(RPCError(.resourceExhausted, "the request headers are over the limit of 1000 bytes"))
      ),
    ])
  func refused(change: [String: String], refusal: RequestHead.Refusal) {
    let (_, action) = call(Self.good.merging(change) { $1 })
    #expect(action == .refuse(refusal))
  }

  @Test("keeps the metadata that is its own, splits joined binary values, drops damaged ones")
  func metadata() {
    let (state, _) = call(
      Self.good.merging(
        ["x-text": "a, b", "x-b-bin": "AQ, Ag==", "x-bad-bin": "*", "grpc-foo": "1", "user-agent": "me"]) {
          $1
        })
    #expect(Set(state.head.metadata.map(\.name)) == ["x-text", "x-b-bin"])
    #expect(state.head.metadata["x-text"] == "a, b")
    #expect(state.head.metadata.filter { $0.name == "x-b-bin" }.map(\.value) == [.binary([1]), .binary([2])])
  }

  @Test("of one message starts with END_STREAM and not before")
  func unary() throws {
    var (state, action) = call(Self.good)
    #expect(action == .none)
    #expect(([0, 0, 0, 0, 1, 7] as [UInt8]).withUnsafeBytes { state.received($0) } == .none)
    #expect(state.inboundEnded() == .start)
    guard case .message(let message) = try state.next() else { return #expect(Bool(false), "no message") }
    #expect(message.readableBytes == 1)
  }

  @Test(
    "of one message fails without it, with two, with half of one",
    arguments: [
      ([], StatusCode.unimplemented), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unimplemented),
      ([0, 0, 0, 0, 2, 1], .internal),
    ] as [([UInt8], StatusCode)])
  func notOneMessage(bytes: [UInt8], code: StatusCode) {
    var (state, _) = call(Self.good)
    var action = bytes.withUnsafeBytes { state.received($0) }
    if action == .none { action = state.inboundEnded() }
    guard case .fail(let error) = action else { return #expect(Bool(false), "\(action)") }
    #expect(error.code == code)
  }

  @Test("of many messages starts with its headers and wakes its reader")
  func streaming() {
    var (state, action) = call(Self.good.merging([":path": "/s/Stream"]) { $1 })
    #expect(action == .start)
    #expect(([0, 0, 0, 0] as [UInt8]).withUnsafeBytes { state.received($0) } == .none)
    #expect(([1, 7] as [UInt8]).withUnsafeBytes { state.received($0) } == .wakeReader)
    #expect(state.inboundEnded() == .wakeReader)
  }

  @Test("sends headers once, ends once, and then hears nothing")
  func once() {
    var (state, _) = call(Self.good)
    let headers = [state.sendHeaders(), state.sendHeaders()]
    #expect(headers == [true, false])
    let ends = [state.finish(), state.finish()]
    #expect(ends == [true, false])
    #expect(([0, 0, 0, 0, 0] as [UInt8]).withUnsafeBytes { state.received($0) } == .none)
    #expect(state.inboundEnded() == .none)
  }
}

@Suite("A call on the client") struct ClientAttemptStateTests {
  typealias Fields = [String: String]

  private func receive(_ fields: Fields, _ state: inout ClientAttemptState) -> ClientAttemptState.Action {
    // Pseudo-headers first, as they come.
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
      Array(name.utf8).withUnsafeBytes { name in
        Array(value.utf8).withUnsafeBytes { state.received(name: name, value: $0) }
      }
    }
    return state.headersEnded()
  }

  @Test("takes headers, message and trailers")
  func complete() throws {
    var state = ClientAttemptState(maxMessageBytes: 100)
    #expect(receive([":status": "103"], &state) == .none)
    #expect(
      receive([":status": "200", "content-type": "application/grpc+proto", "a": "1"], &state) == .headers)
    #expect(([0, 0, 0, 0, 1, 7] as [UInt8]).withUnsafeBytes { state.received($0) } == .wakeReader)
    #expect(receive(["grpc-status": "0", "b": "2"], &state) == .none)
    #expect(state.inboundEnded() == .finish(reset: false))
    #expect(state.initialMetadata["a"] == "1")
    #expect(state.trailingMetadata["b"] == "2")
    let message = try state.single()
    #expect(message.readableBytes == 1)
  }

  @Test(
    "takes an answer that is only headers for what it says",
    arguments: [
      (
        [":status": "200", "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "a%20b"],
        StatusCode.notFound
      ),
      ([":status": "200", "content-type": "application/grpc"], .unknown),
      ([":status": "200", "content-type": "application/grpc", "grpc-status": "99"], .unknown),
      ([":status": "200", "content-type": "text/html"], .unknown),
      ([":status": "400"], .internal), ([":status": "401"], .unauthenticated),
      ([":status": "403"], .permissionDenied),
      ([":status": "404"], .unimplemented), ([":status": "429"], .unavailable),
      ([":status": "503"], .unavailable),
      ([":status": "500"], .unknown),
    ] as [(Fields, StatusCode)])
  func headersOnly(fields: Fields, code: StatusCode) {
    var state = ClientAttemptState(maxMessageBytes: 100)
    _ = receive(fields, &state)
    _ = state.inboundEnded()
    #expect(state.error?.code == code)
  }

  @Test(
    "that is reset fails with what the reset means",
    arguments: [
      (HTTP2ErrorCode.noError, StatusCode.internal), (.protocolError, .internal),
      (.refusedStream, .unavailable),
      (.cancel, .cancelled), (.enhanceYourCalm, .resourceExhausted), (.inadequateSecurity, .permissionDenied),
      (.connectError, .unavailable),
    ])
  func reset(code: HTTP2ErrorCode, status: StatusCode) {
    var state = ClientAttemptState(maxMessageBytes: 100)
    #expect(state.closed(code, reason: "of 10.0.0.7") == .finish(reset: false))
    #expect(state.error?.code == status)
    // Only these two are about our side; the Edge does not show their messages.
    let namesReason = state.error?.message.contains("10.0.0.7")
    #expect(namesReason == (status == .unavailable || status == .internal))
    #expect(state.closed(code, reason: nil) == .none)
  }

  @Test("of a unary call ends with the first byte that follows its message", arguments: [false, true])
  func extraMessage(atOnce: Bool) {
    var state = ClientAttemptState(maxMessageBytes: 100, isUnary: true)
    _ = receive([":status": "200", "content-type": "application/grpc"], &state)
    let message: [UInt8] = [0, 0, 0, 0, 1, 7]
    var action: ClientAttemptState.Action
    if atOnce {
      action = (message + [0]).withUnsafeBytes { state.received($0) }
    } else {
      action = message.withUnsafeBytes { state.received($0) }
      #expect(action == .wakeReader)
      action = ([0] as [UInt8]).withUnsafeBytes { state.received($0) }
    }
    #expect(action == .finish(reset: true))
    #expect(state.error?.code == .unimplemented)
  }

  @Test("is refused when it has more headers or trailers than it may", arguments: [false, true])
  func tooManyHeaders(trailers: Bool) {
    var state = ClientAttemptState(maxMessageBytes: 100, maxHeaderListBytes: 190)
    // As RFC 9113 counts them, names and values and 32 bytes each.
    let long = String(repeating: "x", count: 60)
    var start: Fields = [":status": "200", "content-type": "application/grpc"]
    if trailers {
      _ = receive(start, &state)
      _ = receive(["grpc-status": "0", "a": long, "b": long], &state)
      _ = state.inboundEnded()
    } else {
      start = [":status": "200", "content-type": "application/grpc", "a": long]
      #expect(receive(start, &state) == .finish(reset: true))
    }
    #expect(
      state.error == RPCError(.resourceExhausted, "the response headers are over the limit of 190 bytes"))
  }

  @Test("gives the messages before the error")
  func order() throws {
    var state = ClientAttemptState(maxMessageBytes: 100)
    _ = receive([":status": "200", "content-type": "application/grpc"], &state)
    _ = ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as [UInt8]).withUnsafeBytes { state.received($0) }
    _ = receive(["grpc-status": "10", "grpc-message": "enough"], &state)
    _ = state.inboundEnded()
    for _ in 0..<2 {
      guard case .message = try state.next() else { return #expect(Bool(false), "no message") }
    }
    #expect(throws: RPCError(.aborted, "enough")) { _ = try state.next() }
  }

  @Test("gives nothing in the place of a message that is damaged")
  func damaged() throws {
    var state = ClientAttemptState(maxMessageBytes: 100)
    _ = receive([":status": "200", "content-type": "application/grpc", "grpc-encoding": "gzip"], &state)
    _ = ([1, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0] as [UInt8]).withUnsafeBytes { state.received($0) }
    let error = try #require(throws: RPCError.self) { _ = try state.next() }
    #expect(state.finish(error, reset: true) == .finish(reset: true))
    #expect(throws: error) { _ = try state.next() }
  }
}
