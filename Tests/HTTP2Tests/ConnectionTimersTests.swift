import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

@Suite("The timers of a connection") struct ConnectionTimersTests {
  typealias Sight = ConnectionTimers.Sight

  /// Checks every second what `look` says there is to see, and returns what came of it, second by second.
  private func watch(
    seconds: Int64, jitter: Double = 0, _ configure: (inout HTTP2Configuration) -> Void,
    look: (Int64, inout Sight) -> Void
  ) -> [(second: Int64, action: ConnectionTimers.Action)] {
    var configuration = HTTP2Configuration()
    configure(&configuration)
    var timers = ConnectionTimers(configuration, jitter: jitter, now: .after(0))
    var sight = Sight()
    var actions: [(Int64, ConnectionTimers.Action)] = []
    for second in 0...seconds {
      look(second, &sight)
      if let action = timers.check(sight, now: .after(second * 1000)) {
        actions.append((second, action))
        if case .drain = action { sight.isDraining = true }
      }
    }
    return actions
  }

  @Test("give a peer its time to introduce itself")
  func introduction() {
    let silent = watch(seconds: 10, { $0.introductionTimeout = .seconds(10) }) { $1.isIntroduced = false }
    #expect(silent.map(\.second) == [10])
    let late = watch(seconds: 60, { $0.introductionTimeout = .seconds(10) }) { $1.isIntroduced = $0 >= 9 }
    #expect(late.isEmpty)
  }

  @Test("give each header list its time")
  func headerBlock() {
    let stuck = watch(seconds: 12, { $0.headerBlockTimeout = .seconds(10) }) {
      $1.headerBlock = $0 < 2 ? 0 : 7
    }
    #expect(stuck.map(\.second) == [12])
    #expect(
      stuck.first?.action == .terminate(.enhanceYourCalm, reason: "a header list was not finished in time"))
    // Always in one, never the same.
    let busy = watch(seconds: 60, { $0.headerBlockTimeout = .seconds(10) }) {
      $1.headerBlock = Int($0 / 5) + 1
    }
    #expect(busy.isEmpty)
  }

  @Test("notice a peer that reads nothing, however much it sends")
  func writeStall() {
    let deaf = watch(seconds: 25, { $0.writeStallTimeout = .seconds(20) }) { second, sight in
      sight.bytesIn += 1000
      sight.bytesOut += 10
      if second >= 5 { sight.unsentBytes += 10 }
    }
    #expect(deaf.map(\.second) == [25])
    // It has always something to take, and takes it.
    let slow = watch(seconds: 100, { $0.writeStallTimeout = .seconds(20) }) { second, sight in
      sight.bytesOut += 100
      sight.unsentBytes = 1900
    }
    #expect(slow.isEmpty)
    // A byte at a time is not enough.
    let mocking = watch(seconds: 30, { $0.writeStallTimeout = .seconds(20) }) { second, sight in
      sight.bytesOut = 10_000
      sight.unsentBytes = 1000 - Int(second)
    }
    #expect(mocking.first?.second == 20)
  }

  @Test("notice a peer that grants no window, whatever else we send it")
  func windowStall() {
    let actions = watch(seconds: 60, { $0.windowStallTimeout = .seconds(60) }) { _, sight in
      sight.queuedBytes = 5
      sight.bytesOut += 17
    }
    #expect(actions.map(\.second) == [60])
  }

  @Test(
    "notice a peer that grants window by the byte, but not one that takes all there is or a fair part of it",
    arguments: [
      (waiting: 100_000, taken: 1, ends: true), (waiting: 100_000, taken: 300, ends: false),
      (waiting: 50, taken: 1, ends: false),
    ])
  func slowWindow(waiting: Int, taken: Int, ends: Bool) {
    let actions = watch(seconds: 300, { $0.windowStallTimeout = .seconds(60) }) { _, sight in
      sight.queuedBytes = waiting
      sight.dataOut += taken
    }
    #expect(actions.first?.second == (ends ? 60 : nil))
  }

  @Test("ask a silent peer for a sign of life, and give it up")
  func keepalive() {
    let configure: (inout HTTP2Configuration) -> Void = {
      $0.keepaliveInterval = .seconds(30)
      $0.keepaliveTimeout = .seconds(5)
    }
    let dead = watch(seconds: 35, configure) { $1.openStreams = 1 }
    #expect(dead.map(\.second) == [30, 35])
    #expect(dead.first?.action == .ping)
    #expect(
      dead.last?.action == .close(reason: "the peer did not answer a keepalive PING within 5.0 seconds"))
    // It answers within two seconds, and says nothing else.
    let alive = watch(seconds: 100, configure) {
      $1.openStreams = 1
      if [32, 64, 96].contains($0) { $1.bytesIn += 17 }
    }
    #expect(alive.map(\.second) == [30, 62, 94])
    #expect(alive.allSatisfy { $0.action == .ping })
    let busy = watch(seconds: 100, configure) {
      $1.openStreams = 1
      $1.bytesIn += 1
    }
    #expect(busy.isEmpty)
  }

  @Test("ask nothing while there are no streams, unless told to")
  func keepaliveWithoutStreams() {
    for permitted in [false, true] {
      let actions = watch(
        seconds: 30,
        {
          $0.keepaliveInterval = .seconds(30)
          $0.keepaliveWithoutStreams = permitted
        }
      ) { _, _ in }
      #expect(actions.isEmpty == !permitted)
    }
  }

  @Test("end a connection that nobody uses")
  func idle() {
    let actions = watch(seconds: 100, { $0.idleTimeout = .seconds(60) }) { second, sight in
      // Calls that come and go between two checks count.
      if second == 20 { sight.streamsOpened += 1 }
      sight.openStreams = second == 30 ? 1 : 0
    }
    #expect(actions.map(\.second) == [91])
    #expect(actions.first?.action == .drain(reason: "the connection was idle"))
  }

  @Test("end a connection at its age, a tenth sooner or later", arguments: [(-1.0, 90), (0, 100), (1, 110)])
  func age(jitter: Double, expected: Int64) {
    let actions = watch(
      seconds: 200, jitter: jitter,
      {
        $0.maxAge = .seconds(100)
        $0.maxAgeGrace = .seconds(30)
        $0.drainNoticeTimeout = .seconds(10)
      }
    ) { $1.openStreams = 1 }
    #expect(actions.map(\.second).prefix(3) == [expected, expected + 10, expected + 30])
    #expect(
      actions.map(\.action).prefix(3) == [
        .drain(reason: "the connection has reached its age"), .finishDraining,
        .terminate(.noError, reason: "the connection has reached its age"),
      ])
  }

  @Test("do not wait for ever for the answer to a drain's first step")
  func drainNotice() {
    let actions = watch(seconds: 60, { $0.drainNoticeTimeout = .seconds(10) }) { second, sight in
      sight.openStreams = 1
      sight.isDraining = second >= 5
    }
    #expect(actions.map(\.second) == [15])
    #expect(actions.first?.action == .finishDraining)
  }

  @Test("check often enough for the shortest of them, and no more often")
  func period() {
    var configuration = HTTP2Configuration()
    #expect(ConnectionTimers(configuration, jitter: 0, now: .after(0)).period == .milliseconds(2500))
    configuration.writeStallTimeout = .milliseconds(100)
    #expect(ConnectionTimers(configuration, jitter: 0, now: .after(0)).period == .milliseconds(25))
  }
}

@Suite("A connection left to itself") struct LonelyConnectionTests {
  @Test("is closed when the peer never says who it is")
  func silent() throws {
    let peer = try RawPeer()
    try peer.write(Array("PRI * HTTP/2.0".utf8))
    try peer.advance(.seconds(9))
    #expect(peer.channel.isActive)
    try peer.advance(.seconds(4))
    #expect(!peer.channel.isActive)
    #expect(peer.http2.closeReason?.contains("introduce") == true)
  }

  @Test("is told when a header list takes too long")
  func headerTrickle() throws {
    let peer = try RawPeer()
    try peer.introduce()
    try peer.send(Frame(type: 1, stream: 1, payload: Frame.requestBlock))
    for byte in Frame(type: 9, flags: 4, stream: 1, payload: Array(repeating: 0x84, count: 10)).bytes
      .dropLast()
    {
      try peer.write([byte])
      try peer.advance(.seconds(1))
    }
    #expect(peer.goAway?.code == .enhanceYourCalm)
  }

  @Test("is closed when the peer does not read")
  func deaf() throws {
    let peer = try RawPeer()
    try peer.introduce()
    peer.channel.isWritable = false
    for _ in 0..<19 { try peer.advance(.seconds(1)) }
    #expect(peer.channel.isActive)
    for _ in 0..<5 { try peer.advance(.seconds(1)) }
    #expect(!peer.channel.isActive)
    #expect(peer.http2.closeReason == "the peer reads nothing")
  }

  @Test("is closed when the last of an answer is not read, though the channel takes more")
  func deafToTheEnd() throws {
    let peer = try RawPeer()
    try peer.introduce()
    try answerUnread(peer)
    for _ in 0..<19 { try peer.advance(.seconds(1)) }
    #expect(peer.channel.isActive)
    for _ in 0..<5 { try peer.advance(.seconds(1)) }
    #expect(!peer.channel.isActive)
    #expect(peer.http2.closeReason == "the peer reads nothing")
  }

  @Test("does not wait for ever to close in order")
  func deafToGoodbye() throws {
    let peer = try RawPeer {
      $0.idleTimeout = .seconds(60)
      $0.writeStallTimeout = nil
    }
    try peer.introduce()
    try answerUnread(peer)
    for _ in 0..<80 { try peer.advance(.seconds(1)) }
    #expect(peer.channel.isActive)
    for _ in 0..<20 { try peer.advance(.seconds(1)) }
    #expect(!peer.channel.isActive)
  }

  @Test("is closed by what ends it while it waits to close in order")
  func terminatedWhileClosing() throws {
    let peer = try RawPeer { $0.writeStallTimeout = nil }
    try peer.introduce()
    try answerUnread(peer)
    peer.http2.drain()
    peer.http2.finishDraining()
    try peer.advance(.zero)
    #expect(peer.channel.isActive)
    peer.http2.terminate(.noError, reason: "the connection has reached its age")
    peer.loop.run()
    #expect(!peer.channel.isActive)
  }

  /// A call whose answer stays in the channel.
  private func answerUnread(_ peer: RawPeer) throws {
    peer.socket.isFull = true
    try peer.send(.request(1, end: true))
    let call = try #require(peer.delegate.streams.first)
    call.stream.respond(Pair.response, endStream: true)
    try peer.advance(.zero)
    #expect(peer.http2.streamCount == 0)
    #expect(peer.channel.isWritable)
  }

  @Test("ends the calls of a peer that grants no window")
  func zeroWindow() throws {
    let peer = try RawPeer { $0.windowStallTimeout = .seconds(60) }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    try peer.send(.settings([(4, 0)]), .settingsAck, .request(1, end: true))
    let call = try #require(peer.delegate.streams.first)
    call.stream.respond(Pair.response, endStream: false)
    call.stream.write(.none, ByteBuffer(repeating: 1, count: 1000))
    for _ in 0..<55 { try peer.advance(.seconds(1)) }
    #expect(call.recorder.closeCode == nil)
    for _ in 0..<10 { try peer.advance(.seconds(1)) }
    #expect(call.recorder.closeCode != nil)
    #expect(peer.goAway?.debug == "the peer grants no window")
  }

  @Test("says how a call ends to a peer that grants no window", arguments: [true, false])
  func trailersWithoutWindow(isEmpty: Bool) throws {
    let peer = try RawPeer()
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE: 0, or as much as the answer has.
    try peer.send(.settings([(4, isEmpty ? 0 : 1000)]), .settingsAck, .request(1, end: true))
    let call = try #require(peer.delegate.streams.first)
    call.stream.respond(Pair.response, endStream: false)
    if !isEmpty { call.stream.write(.none, ByteBuffer(repeating: 1, count: 1000)) }
    try peer.advance(.zero)
    call.stream.finish(trailers: ["grpc-status": "0"])
    try peer.advance(.zero)
    #expect(peer.answers.suffix(isEmpty ? 2 : 3).map(\.type) == (isEmpty ? [1, 1] : [1, 0, 1]))
    #expect(peer.answers.last?.flags == 5)
    #expect(call.recorder.closeCode == .noError)
    // What it grants later is for nobody.
    try peer.send(.windowUpdate(1, 1000), .windowUpdate(0, 1000))
    #expect(peer.goAway == nil)
  }

  @Test("ends a call whose peer takes others, and nothing of this one")
  func stalledStream() throws {
    let peer = try RawPeer { $0.windowStallTimeout = .seconds(60) }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    try peer.send(.settings([(4, 0)]), .settingsAck, .request(1, end: true), .request(3, end: true))
    let calls = peer.delegate.streams
    for call in calls {
      call.stream.respond(Pair.response, endStream: false)
      call.stream.write(.none, ByteBuffer(repeating: 1, count: 100_000))
    }
    for second in 0..<70 {
      try peer.advance(.seconds(1))
      try peer.send(.windowUpdate(0, 1000), .windowUpdate(3, 1000))
      if second == 55 { #expect(calls[0].recorder.closeCode == nil) }
    }
    #expect(calls[0].recorder.closeCode == .enhanceYourCalm)
    #expect(peer.resets(1) == [.enhanceYourCalm])
    #expect(calls[1].recorder.closeCode == nil)
    #expect(peer.http2.queuedBytes == 30_000)
    #expect(peer.goAway == nil)
  }

  @Test("is left alone however slowly its calls share a socket, while it grants window for them all")
  func slowLink() throws {
    let peer = try RawPeer { $0.windowStallTimeout = .seconds(20) }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE, and as much for the connection.
    try peer.send(.settings([(4, 1 << 30)]), .settingsAck, .windowUpdate(0, 1 << 30))
    // After one write, of four frames, the socket is full.
    peer.socket.afterWrite = { [channel = peer.channel] in channel.isWritable = false }
    try peer.send(200) { .request(Int32(2 * $0 + 1), end: true) }
    let calls = peer.delegate.streams
    #expect(calls.count == 200)
    for call in calls {
      call.stream.respond(Pair.response, endStream: false)
      call.stream.write(.none, ByteBuffer(repeating: 1, count: 40_000))
    }
    for _ in 0..<90 {
      peer.channel.isWritable = true
      peer.channel.pipeline.fireChannelWritabilityChanged()
      try peer.advance(.seconds(1))
    }
    #expect(peer.http2.queuedBytes > 0)
    #expect(calls.allSatisfy { $0.recorder.closeCode == nil })
    #expect(peer.goAway == nil)
  }

  @Test("is pinged, and closed when that is not answered", arguments: [HTTP2Connection.Role.client, .server])
  func keepalive(role: HTTP2Connection.Role) throws {
    let peer = try RawPeer(role: role) {
      $0.keepaliveInterval = .seconds(60)
      $0.keepaliveWithoutStreams = true
    }
    try peer.introduce()
    for _ in 0..<70 { try peer.advance(.seconds(1)) }
    #expect(peer.answers.contains { $0.type == 6 && $0.flags == 0 })
    #expect(peer.http2.counters.pingsSent == 1)
    for _ in 0..<20 { try peer.advance(.seconds(1)) }
    #expect(!peer.channel.isActive)
    #expect(peer.http2.closeReason?.contains("keepalive") == true)
  }

  @Test("says why it ends even if a drain has yet to be announced")
  func endedInTheMiddleOfADrain() throws {
    let peer = try RawPeer()
    try peer.introduce()
    peer.http2.drain()
    peer.http2.terminate(.enhanceYourCalm, reason: "enough")
    peer.loop.run()
    try peer.advance(.zero)
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.goAway?.debug == "enough")
  }

  @Test("drains when it is idle, even if the peer says nothing to that")
  func idle() throws {
    let peer = try RawPeer { $0.idleTimeout = .seconds(60) }
    try peer.introduce()
    for _ in 0..<65 { try peer.advance(.seconds(1)) }
    // The notice names no stream.
    #expect(peer.answers.last { $0.type == 7 }?.payload.prefix(4) == [0x7f, 0xff, 0xff, 0xff])
    for _ in 0..<15 { try peer.advance(.seconds(1)) }
    #expect(peer.answers.last { $0.type == 7 }?.payload.prefix(4) == [0, 0, 0, 0])
    #expect(!peer.channel.isActive)
  }
}
