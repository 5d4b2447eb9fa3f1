import NIOCore
import Testing

@testable import HTTP2

extension NIODeadline {
  static func after(_ milliseconds: Int64) -> NIODeadline {
    .uptimeNanoseconds(0) + .milliseconds(milliseconds)
  }
}

extension TokenBucket {
  mutating func take(_ count: Int, at milliseconds: Int64) -> Bool { take(count, now: .after(milliseconds)) }
}

extension FrameBudget {
  mutating func takes(_ frame: Frame) -> Bool { received(FrameHead(frame), now: .after(0)) }
}

extension ResetBudget {
  mutating func takesReset(rapid: Bool, at milliseconds: Int64 = 0) -> Bool {
    received(rapid: rapid, now: .after(milliseconds))
  }
  mutating func takesOwn(_ code: HTTP2ErrorCode) -> Bool { sent(code, now: .after(0)) }
}

extension FrameHead {
  init(_ frame: Frame) {
    self.init(length: frame.payload.count, type: frame.type, flags: frame.flags, stream: frame.stream)
  }
}

@Suite("A token bucket") struct TokenBucketTests {
  @Test("gives its burst at once and its rate over time")
  func rate() {
    var bucket = TokenBucket(RateLimit(burst: 3, perSecond: 10), now: .after(0))
    func take(_ milliseconds: Int64) -> Bool { bucket.take(1, at: milliseconds) }
    #expect([take(0), take(0), take(0), take(0)] == [true, true, true, false])
    #expect([take(99), take(100), take(150), take(200)] == [false, true, false, true])
    // Time alone fills it to the burst, and no further.
    #expect((0..<5).map { _ in take(1_000_000_000) } == [true, true, true, false, false])
  }

  @Test("does not ask for the time while it has tokens")
  func laziness() {
    var asked = 0
    var bucket = TokenBucket(RateLimit(burst: 2, perSecond: 1), now: .after(0))
    func now() -> NIODeadline {
      asked += 1
      return .after(0)
    }
    let first = bucket.take(2, now: now())
    #expect(first && asked == 0)
    let second = bucket.take(1, now: now())
    #expect(!second && asked == 1)
    bucket.give(5)
    #expect(bucket.tokens == 2)
  }

  @Test("that earns nothing by time keeps its burst")
  func noRate() {
    var bucket = TokenBucket(RateLimit(burst: 1, perSecond: 0), now: .after(0))
    #expect(bucket.take(1, at: 0) == true)
    #expect(bucket.take(1, at: 900) == false)
  }
}

@Suite("The frames in what was read") struct FrameScannerTests {
  @Test("are found however the bytes are cut", arguments: [1, 2, 5, 8, 9, 10, 24, 1000])
  func cut(size: Int) {
    let frames: [Frame] = [
      .settings([(3, 5)]), .request(0x7fff_fffd), .data(0x0102_0304 | 1, 300), Frame(type: 0xfa, flags: 0xff),
    ]
    let bytes = [UInt8](repeating: 0, count: 24) + frames.flatMap(\.bytes)
    var scanner = FrameScanner(prefaceBytes: FrameScanner.clientPrefaceBytes)
    var heads: [FrameHead] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes {
        scanner.scan($0) {
          heads.append($0)
          return true
        }
      }
    }
    #expect(
      heads
        == frames.map(FrameHead.init))
  }

  @Test("tell when a header list is unfinished")
  func headerBlock() {
    var scanner = FrameScanner(prefaceBytes: 0)
    func scan(_ bytes: some Sequence<UInt8>) -> Bool {
      Array(bytes).withUnsafeBytes { scanner.scan($0) { _ in true } }
      return scanner.isInHeaderBlock
    }
    let begun = Frame(type: 1, stream: 1, payload: [0x83, 0x86])
    let ended = Frame(type: 9, flags: 4, stream: 1, payload: [0x84])
    #expect(!scan(Frame.settings().bytes))
    #expect(scan(begun.bytes.prefix(10)))
    #expect(scan(begun.bytes.dropFirst(10)))
    #expect(scan(ended.bytes.prefix(9)))
    #expect(!scan(ended.bytes.dropFirst(9)))
    #expect(scanner.headerBlocks == 1)
    #expect(!scan(Frame.request(3).bytes))
    #expect(scanner.headerBlocks == 2)
  }
}

@Suite("The budget of frames that do no work") struct FrameBudgetTests {
  private static func budget(_ role: HTTP2Connection.Role = .server) -> FrameBudget {
    FrameBudget(RateLimit(burst: 100, perSecond: 0), role: role, now: .after(0))
  }

  @Test(
    "ends for each kind of frame that does none",
    arguments: [
      Frame.data(1), .data(1, end: true),
      Frame(type: 0, flags: 8, stream: 1, payload: [255] + .init(repeating: 0, count: 255)),
      .priority(1), .reset(1), .ping, Frame(type: 6, flags: 1, payload: Frame.ping.payload), .settingsAck,
      .windowUpdate(0, 1), .windowUpdate(1, 1), Frame(type: 7, payload: .init(repeating: 0, count: 8)),
      Frame(type: 9, flags: 4, stream: 1), Frame(type: 0x10, payload: [0, 0, 0, 1]), Frame(type: 0xfe),
    ])
  func kinds(frame: Frame) {
    var budget = Self.budget()
    let results = (0...100).map { _ in budget.takes(frame) }
    #expect(results == Array(repeating: true, count: 100) + [false])
    #expect(budget.idleFrames == 101)
  }

  @Test("counts SETTINGS for more")
  func settings() {
    var budget = Self.budget()
    let results = (0...10).map { _ in budget.takes(.settings()) }
    #expect(results == Array(repeating: true, count: 10) + [false])
  }

  @Test("is never used up by calls, however many")
  func calls() {
    var budget = Self.budget()
    for call in 0..<10_000 {
      let stream = Int32(2 * call + 1)
      budget.sentData()
      let frames: [Frame] = [
        .request(stream), .data(stream, 118), .data(stream, end: true), .ping, .windowUpdate(stream, 1),
        .windowUpdate(0, 1), .reset(stream), .priority(stream),
      ]
      for frame in frames { #expect(budget.takes(frame) == true) }
    }
  }

  @Test("is not restored by headers of old streams, nor by new ones that are ignored")
  func ignoredHeaders() {
    var budget = Self.budget()
    #expect(budget.takes(.request(9)) == true)
    for _ in 0..<100 { #expect(budget.takes(.request(9)) == true) }
    #expect(budget.takes(.request(7)) == false)
    budget = Self.budget()
    budget.acceptsStreams = false
    for stream in 0..<100 {
      #expect(budget.takes(.request(Int32(2 * stream + 1))) == true)
    }
    #expect(budget.takes(.request(999)) == false)
  }

  @Test("of a server lasts for what our client asked it for")
  func clientSide() {
    var budget = Self.budget(.client)
    for call in 0..<10_000 {
      let stream = Int32(2 * call + 1)
      budget.openedStream()
      for frame: Frame in [
        .request(stream), .data(stream, 118), .request(stream, end: true), .windowUpdate(0, 1),
      ] {
        #expect(budget.takes(frame) == true)
      }
    }
    // Headers that answer nothing, such as 1xx after 1xx, are idle.
    for _ in 0..<100 { _ = budget.takes(.request(1)) }
    #expect(budget.takes(.request(1)) == false)
  }
}

@Suite("The budget of resets") struct ResetBudgetTests {
  private static func budget() -> ResetBudget {
    ResetBudget(
      peer: RateLimit(burst: 10, perSecond: 1), own: RateLimit(burst: 100, perSecond: 1), now: .after(0))
  }

  @Test("lets four streams that were open for a while be reset for each that was reset at once")
  func pace() {
    var budget = Self.budget()
    #expect((0...10).map { _ in budget.takesReset(rapid: true) }.firstIndex(of: false) == 10)
    budget = Self.budget()
    #expect((0...40).map { _ in budget.takesReset(rapid: false) }.firstIndex(of: false) == 40)
    #expect(budget.takesReset(rapid: true, at: 999) == false)
    #expect(budget.takesReset(rapid: true, at: 1000) == true)
  }

  @Test(
    "is shared by resets the peer makes us send",
    arguments: [
      HTTP2ErrorCode.protocolError, .flowControlError, .streamClosed, .frameSizeError,
    ])
  func provoked(code: HTTP2ErrorCode) {
    var budget = Self.budget()
    for _ in 0..<5 { #expect(budget.takesReset(rapid: true) == true) }
    for _ in 0..<5 { #expect(budget.takesOwn(code) == true) }
    #expect(budget.takesOwn(code) == false)
    #expect(budget.takesReset(rapid: true) == false)
  }

  @Test(
    "is not touched by resets we decide on, which have their own",
    arguments: [HTTP2ErrorCode.cancel, .noError, .refusedStream, .enhanceYourCalm])
  func own(code: HTTP2ErrorCode) {
    var budget = Self.budget()
    #expect((0...100).map { _ in budget.takesOwn(code) }.firstIndex(of: false) == 100)
    #expect(budget.takesReset(rapid: true) == true)
  }
}

@Suite("A client's pings") struct PingStrikesTests {
  private static func policy() -> PingStrikes {
    PingStrikes(interval: .seconds(300), intervalWithoutStreams: .hours(2), maxStrikes: 2)
  }

  @Test("are welcome at the interval")
  func patient() {
    var policy = Self.policy()
    for turn in 0..<10 {
      #expect(policy.received(now: .after(300_000 * Int64(turn)), hasStreams: true) == true)
    }
    policy = Self.policy()
    for turn in 0..<10 {
      #expect(policy.received(now: .after(7_200_000 * Int64(turn)), hasStreams: false) == true)
    }
  }

  @Test("are too many at the third that comes too soon", arguments: [true, false])
  func hasty(hasStreams: Bool) {
    var policy = Self.policy()
    let results = (0..<4).map { policy.received(now: .after(299_000 * $0), hasStreams: hasStreams) }
    #expect(results == [true, true, true, false])
  }

  @Test("that follow what we send are forgiven")
  func measuring() {
    var policy = Self.policy()
    for turn in 0..<100 {
      policy.hasSentSincePing = true
      #expect(policy.received(now: .after(Int64(turn)), hasStreams: true) == true)
    }
  }
}
