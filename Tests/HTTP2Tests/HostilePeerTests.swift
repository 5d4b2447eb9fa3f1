import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

@Suite("A hostile client") struct HostileClientTests {
  /// What it sends once, over and over.
  struct Flood: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let frame: @Sendable (Int) -> Frame
  }

  static let idleFloods = [
    Flood(testDescription: "empty DATA") { _ in .data(1) },
    Flood(testDescription: "empty DATA on a stream that has gone") { _ in .data(3) },
    Flood(testDescription: "PRIORITY") { _ in .priority(5) },
    Flood(testDescription: "PRIORITY_UPDATE") { _ in Frame(type: 0x10, payload: [0, 0, 0, 1]) },
    Flood(testDescription: "an unknown type") { _ in Frame(type: 0xe1, flags: 0xff, stream: 77, payload: [1])
    },
    Flood(testDescription: "WINDOW_UPDATE of the connection") { _ in .windowUpdate(0, 1) },
    Flood(testDescription: "WINDOW_UPDATE of a stream") { _ in .windowUpdate(1, 1) },
    Flood(testDescription: "SETTINGS") { _ in .settings([(4, 65_535)]) },
    Flood(testDescription: "PING") { _ in .ping },
    Flood(testDescription: "PING acknowledgements") { _ in
      Frame(type: 6, flags: 1, payload: Frame.ping.payload)
    },
  ]

  @Test("that floods is told so and cut off", arguments: idleFloods, [false, true])
  func idleFrames(flood: Flood, draining: Bool) throws {
    let peer = try RawPeer { $0.idleFrames = RateLimit(burst: 200, perSecond: 10) }
    try peer.introduce()
    try peer.send(.request(1), .request(3), .reset(3))
    if draining { try drain(peer) }
    for _ in 0..<30 { try peer.send(10, flood.frame) }
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.delegate.isClosed)
    #expect(peer.delegate.streams.allSatisfy { $0.recorder.closeCode != nil })
    #expect(peer.http2.counters.idleFrames < 230)
    // It may read why; then the connection goes.
    #expect(peer.channel.isActive)
    try peer.advance(.seconds(1))
    #expect(!peer.channel.isActive)
  }

  /// Both steps: streams are no longer accepted afterwards.
  private func drain(_ peer: RawPeer) throws {
    peer.http2.drain()
    peer.loop.run()
    try peer.send(Frame(type: 6, flags: 1, payload: Array("draining".utf8)))
    #expect(peer.goAway?.code == .noError)
  }

  @Test("that resets its streams as fast as it opens them is cut off", arguments: [false, true])
  func rapidReset(draining: Bool) throws {
    let peer = try RawPeer { $0.resets = RateLimit(burst: 20, perSecond: 1) }
    try peer.introduce()
    try peer.send(.request(1))
    if draining {
      peer.http2.drain()
      peer.loop.run()
    }
    for call in 1...19 { try peer.send(.request(Int32(2 * call + 1)), .reset(Int32(2 * call + 1))) }
    #expect(peer.goAway?.code != .enhanceYourCalm)
    try peer.send(100) { index in
      index.isMultiple(of: 2) ? .request(Int32(101 + index)) : .reset(Int32(100 + index))
    }
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.goAway?.debug == "too many streams reset")
    #expect(peer.http2.counters.resetsReceived == 21)
    // What came behind in the same read was not looked at.
    #expect(peer.delegate.streams.count == 22)
  }

  @Test("may reset streams that it gave some time")
  func patientResets() throws {
    let peer = try RawPeer {
      $0.resets = RateLimit(burst: 20, perSecond: 1)
      $0.introductionTimeout = .seconds(4)
    }
    try peer.introduce()
    for second in 0..<20 {
      try peer.send(4) { .request(Int32(8 * second + 2 * $0 + 1)) }
      try peer.advance(.seconds(2))
      try peer.send(4) { .reset(Int32(8 * second + 2 * $0 + 1)) }
    }
    #expect(peer.goAway == nil)
  }

  @Test(
    "that makes us reset its streams is cut off",
    arguments: [
      Flood(testDescription: "window overflow") { .windowUpdate(Int32(2 * $0 + 1), 0x7fff_ffff) }
    ])
  func madeYouReset(fault: Flood) throws {
    let peer = try RawPeer { $0.resets = RateLimit(burst: 20, perSecond: 1) }
    try peer.introduce()
    for call in 0..<200 where peer.channel.isActive {
      try peer.send(2) { $0 == 0 ? .request(Int32(2 * call + 1), end: true) : fault.frame(call) }
    }
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.goAway?.debug == "too many streams that had to be reset")
    #expect(peer.http2.counters.resetsSent == 21)
    #expect(peer.delegate.isClosed)
  }

  @Test("that never learns how many streams it may have is refused more, and cut off in the end")
  func refusedForEver() throws {
    let peer = try RawPeer { $0.ownResets = RateLimit(burst: 500, perSecond: 1) }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    try peer.send(.settings())
    for turn in 0..<10 { try peer.send(100) { .request(Int32(200 * turn + 2 * $0 + 1)) } }
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.delegate.streams.count == 256)
    // No more than were under way when it was one too many.
    #expect((501...600).contains(peer.http2.counters.resetsSent))
  }

  @Test(
    "that breaks rules nghttp2 does not forgive is cut off at once",
    arguments: [
      (fault: Frame.windowUpdate(1, 0), code: HTTP2ErrorCode.protocolError),
      (fault: .data(1, 1), code: .streamClosed), (fault: .request(1, end: true), code: .streamClosed),
    ])
  func unforgivable(fault: Frame, code: HTTP2ErrorCode) throws {
    let peer = try RawPeer()
    try peer.introduce()
    try peer.send(.request(1, end: true), fault)
    #expect(peer.goAway?.code == code)
    #expect(peer.delegate.isClosed)
  }

  @Test("that pings again and again is told the words its library knows")
  func pings() throws {
    let peer = try RawPeer()
    try peer.introduce()
    for _ in 0..<3 { try peer.send(.ping) }
    #expect(peer.goAway == nil)
    try peer.send(.ping)
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.goAway?.debug == "too_many_pings")
  }

  @Test("is cut off for more answers than it reads")
  func unreadAnswers() throws {
    let peer = try RawPeer { $0.maxPingStrikes = .max }
    try peer.introduce()
    try peer.send(500) { _ in .ping }
    #expect(peer.goAway?.code == .enhanceYourCalm)
  }

  @Test("cannot make a bomb of compressed headers")
  func headerBomb() throws {
    let peer = try RawPeer()
    try peer.introduce()
    // One field of 4,000 bytes into the table, then references to it: a byte each, 4,033 bytes of list.
    let field: [UInt8] = [0x40, 0x01, 0x61, 0x7f, 0xa1, 0x1e] + [UInt8](repeating: 0x62, count: 4000)
    try peer.send(.request(1, block: Frame.requestBlock + field + [UInt8](repeating: 0xbe, count: 12_000)))
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(try #require(peer.delegate.streams.first).recorder.fields.count < 20)
    #expect(peer.delegate.isClosed)
  }

  @Test("cannot go on and on with CONTINUATION")
  func continuations() throws {
    let peer = try RawPeer()
    try peer.introduce()
    try peer.send(Frame(type: 1, stream: 1, payload: Frame.requestBlock))
    try peer.send(100) { _ in Frame(type: 9, stream: 1) }
    #expect(peer.goAway?.code == .enhanceYourCalm)
    #expect(peer.delegate.isClosed)
  }

  @Test("cannot send frames longer than 16 KiB")
  func longFrames() throws {
    let peer = try RawPeer()
    try peer.introduce()
    try peer.send(.request(1))
    try peer.send(.data(1, 16_385))
    #expect(peer.goAway?.code == .frameSizeError)
  }

  @Test("that asks for much and takes nothing is refused more")
  func hoarder() throws {
    let peer = try RawPeer { $0.maxQueuedBytes = 100_000 }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    try peer.send(.settings([(4, 0)]), .settingsAck)
    for call in 0..<5 { try peer.send(.request(Int32(2 * call + 1), end: true)) }
    func answer(_ call: Int) {
      peer.delegate.streams[call].stream.respond(Pair.response, endStream: false)
      peer.delegate.streams[call].stream.write(.none, ByteBuffer(repeating: 1, count: 40_000))
    }
    for call in 0..<4 { answer(call) }
    try peer.advance(.zero)
    #expect(peer.http2.queuedBytes == 120_000)
    #expect(peer.delegate.streams.map(\.recorder.closeCode) == [nil, nil, nil, .enhanceYourCalm, nil])
    // What it takes, or gives up, makes room.
    try peer.send(.windowUpdate(1, 30_000), .reset(3))
    #expect(peer.http2.queuedBytes == 50_000)
    answer(4)
    #expect(peer.http2.queuedBytes == 90_000)
    peer.channel.close(promise: nil)
    peer.loop.run()
    #expect(peer.http2.queuedBytes == 0)
  }

  @Test("cannot make us keep more by asking for it in small pieces")
  func smallHoarder() throws {
    let peer = try RawPeer { $0.maxQueuedBytes = 100_000 }
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    try peer.send(.settings([(4, 0)]), .settingsAck)
    try peer.send(.request(1, end: true), .request(3, end: true))
    let first = peer.delegate.streams[0].stream
    let second = peer.delegate.streams[1].stream
    for stream in [first, second] { stream.respond(Pair.response, endStream: false) }
    func fill(_ stream: HTTP2Stream) -> Int {
      (1...100_000).first { _ in
        !stream.write(.lengthPrefix(flag: 0, length: 1), ByteBuffer(repeating: 1, count: 1))
      } ?? 0
    }
    #expect((700..<800).contains(fill(first)))
    try peer.advance(.zero)
    #expect(peer.http2.queuedBytes == 0)
    // What goes out in frames of any size is given back to the last byte.
    for _ in 0..<500 { second.write(.lengthPrefix(flag: 0, length: 1), ByteBuffer(repeating: 1, count: 1)) }
    #expect(peer.http2.queuedBytes == second.queuedBytes)
    for increment in [1, 7, 1000, 1991, 1] as [UInt32] {
      try peer.send(.windowUpdate(3, increment))
      #expect(peer.http2.queuedBytes == second.queuedBytes)
    }
    #expect(peer.http2.queuedBytes == 0)
  }

  @Test("is not waited for when it takes no GOAWAY")
  func deaf() throws {
    let peer = try RawPeer()
    try peer.introduce()
    peer.channel.isWritable = false
    try peer.send(1100) { _ in .windowUpdate(0, 1) }
    #expect(!peer.channel.isActive)
    #expect(peer.delegate.isClosed)
  }
}

@Suite("A client that does nothing wrong") struct HonestClientTests {
  @Test("may open streams before it knows how many, and be refused most of them")
  func eager() throws {
    let peer = try RawPeer()
    try peer.write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    try peer.send(.settings())
    try peer.send(1256) { .request(Int32(2 * $0 + 1), end: true) }
    #expect(peer.delegate.streams.count == 256)
    #expect(peer.resets(2511) == [.refusedStream])
    #expect(peer.http2.counters.resetsSent == 1000)
    #expect(peer.goAway == nil)
    try peer.send(.settingsAck)
    let call = try #require(peer.delegate.streams.first)
    call.stream.respond(Pair.response, endStream: true)
    try peer.advance(.zero)
    try peer.send(.request(2601, end: true))
    #expect(peer.delegate.streams.count == 257)
  }

  @Test("may reset streams that we have ended early")
  func lateResets() throws {
    let peer = try RawPeer { $0.resets = RateLimit(burst: 20, perSecond: 1) }
    try peer.introduce()
    for call in 0..<1000 {
      try peer.send(.request(Int32(2 * call + 1)))
      try #require(peer.delegate.streams.last).stream.respond(Pair.response, endStream: true)
      try peer.advance(.zero)
      try peer.send(.reset(Int32(2 * call + 1), .noError))
    }
    #expect(peer.goAway == nil)
    #expect(peer.http2.counters.resetsReceived == 1000)
  }

  @Test("may be refused more than we have room for")
  func full() throws {
    let peer = try RawPeer {
      $0.resets = RateLimit(burst: 20, perSecond: 1)
      $0.maxQueuedBytes = -1
    }
    try peer.introduce()
    for call in 0..<200 {
      try peer.send(.request(Int32(2 * call + 1), end: true))
      let stream = try #require(peer.delegate.streams.last).stream
      stream.respond(Pair.response, endStream: false)
      #expect(!stream.write(.none, ByteBuffer(bytes: [1])))
      try peer.advance(.zero)
    }
    #expect(peer.resets(399) == [.enhanceYourCalm])
    #expect(peer.goAway == nil)
  }
}

@Suite("A hostile server") struct HostileServerTests {
  @Test(
    "that floods our client is cut off",
    arguments: [
      Frame.settings(), .ping, .windowUpdate(0, 1), .priority(1), .reset(1), Frame(type: 0xe1), .data(1),
      // 103 Early Hints, again and again.
      .request(1, block: [0x08, 0x03, 0x31, 0x30, 0x33]),
    ])
  func floods(frame: Frame) throws {
    let peer = try RawPeer(role: .client)
    try peer.introduce()
    let call = StreamRecorder()
    #expect(peer.http2.open(Pair.request, delegate: call) != nil)
    peer.loop.run()
    for _ in 0..<30 { try peer.send(100) { _ in frame } }
    #expect(peer.goAway.map { $0.code != .noError } == true)
    #expect(peer.delegate.isClosed)
    #expect(call.closeCode != nil)
  }

  @Test("cannot push")
  func push() throws {
    let peer = try RawPeer(role: .client)
    try peer.introduce()
    #expect(peer.http2.open(Pair.request, delegate: StreamRecorder()) != nil)
    peer.loop.run()
    try peer.send(Frame(type: 5, flags: 4, stream: 1, payload: Frame.big(2) + Frame.requestBlock))
    #expect(peer.goAway?.code == .protocolError)
  }

  @Test("that has had enough of our pings says so where the layer above can see it")
  func tooManyPings() throws {
    let peer = try RawPeer(role: .client)
    try peer.introduce()
    let debug = Array("too_many_pings".utf8)
    try peer.send(Frame(type: 7, payload: Frame.big(0) + Frame.big(0xb) + debug))
    #expect(peer.http2.wasToldToPingLess)
  }
}
