import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import RPC

@Suite("Resolution of names") struct ResolutionTests {
  private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
  private let fresh = ResolutionSchedule(RPCClient.Configuration.Resolution(), backoff: Backoff())

  @Test("happens at once when first asked for, and once for all who ask meanwhile")
  func first() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    step = schedule.request(at: start)
    #expect(step == .resolve)
    step = schedule.request(at: start)
    #expect(step == .none)
  }

  @Test("happens again after a minute, unasked")
  func periodic() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    _ = schedule.request(at: start)
    let next = start + .seconds(60)
    step = schedule.ended(at: start, isSuccess: true, random: 0)
    #expect(step == .wait(until: next))
    step = schedule.timerFired(at: next)
    #expect(step == .resolve)
  }

  @Test("asked for happens sooner, but half a minute after the last one at the earliest")
  func minimum() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    _ = schedule.request(at: start)
    _ = schedule.ended(at: start, isSuccess: true, random: 0)
    let sooner = start + .seconds(30)
    step = schedule.request(at: start + .seconds(1))
    #expect(step == .wait(until: sooner))
    step = schedule.request(at: start + .seconds(2))
    #expect(step == .none)
    step = schedule.timerFired(at: sooner)
    #expect(step == .resolve)
    _ = schedule.ended(at: sooner, isSuccess: true, random: 0)
    step = schedule.request(at: sooner + .seconds(31))
    #expect(step == .resolve)
  }

  @Test("that failed is tried again after a pause that grows, however often it is asked for")
  func failing() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    _ = schedule.request(at: start)
    let first = start + .seconds(1)
    step = schedule.ended(at: start, isSuccess: false, random: 0)
    #expect(step == .wait(until: first))
    step = schedule.request(at: start + .milliseconds(1))
    #expect(step == .none)
    step = schedule.timerFired(at: first)
    #expect(step == .resolve)
    #expect(
      schedule.ended(at: first, isSuccess: false, random: 0) == .wait(until: first + .milliseconds(1600)))
  }

  @Test("counts an address once, and no more of them than a target may list")
  func distinct() {
    let all = (0..<1000).map { RPCAddress.tcp(host: "127.0.0.1", port: 1 + $0 / 2) }
    let distinct = Resolution.distinct(all)
    #expect(distinct == (0..<256).map { .tcp(host: "127.0.0.1", port: 1 + $0) })
  }

  @Test("rests while nobody needs it, and then happens no sooner than it would have")
  func rest() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    _ = schedule.request(at: start)
    _ = schedule.ended(at: start, isSuccess: true, random: 0)
    schedule.rest()
    step = schedule.timerFired(at: start + .seconds(60))
    #expect(step == .none)
    step = schedule.request(at: start + .seconds(1))
    #expect(step == .wait(until: start + .seconds(30)))
    schedule.rest()
    step = schedule.request(at: start + .seconds(3600))
    #expect(step == .resolve)
  }

  @Test("stops when the client falls asleep, and begins again with its next call")
  func asleep() throws {
    let lookups = Count()
    let loop = EmbeddedEventLoop()
    var configuration = RPCClient.Configuration()
    configuration.resolution.resolver = Resolver { host, _, loop in
      lookups.add(1)
      return loop.makeFailedFuture(ResolutionError(host: host, problem: "not there"))
    }
    let target = RPCTarget(.tcp(host: "server", port: 1))
    let resolution = Resolution(target, configuration: configuration, eventLoop: loop, logger: .quiet)
    let channel = LoopChannel(
      target: target, resolution: resolution, configuration: configuration, eventLoop: loop, logger: .quiet)
    func attempt() {
      channel.submit(ClientAttempt(ClientCall.once(on: channel, path: "/a/B")))
      loop.run()
    }
    attempt()
    #expect(lookups.value == 1)
    loop.advanceTime(by: TimeAmount(configuration.idleTime))
    let before = lookups.value
    #expect(before > 1)
    loop.advanceTime(by: TimeAmount(configuration.idleTime))
    let asleep = lookups.value
    #expect(asleep > before)
    loop.advanceTime(by: .hours(24))
    #expect(lookups.value == asleep)
    attempt()
    #expect(lookups.value == asleep + 1)
    _ = channel.shutDown()
    resolution.stop()
    loop.run()
  }

  @Test("that failed long ago fails no call while it is tried again")
  func staleFailure() throws {
    let lookups = Mutex<[EventLoopPromise<[RPCAddress]>]>([])
    let loop = EmbeddedEventLoop()
    var configuration = RPCClient.Configuration()
    configuration.resolution.resolver = Resolver { _, _, loop in
      let promise = loop.makePromise(of: [RPCAddress].self)
      lookups.withLock { $0.append(promise) }
      return promise.futureResult
    }
    let target = RPCTarget(.tcp(host: "server", port: 1))
    let resolution = Resolution(target, configuration: configuration, eventLoop: loop, logger: .quiet)
    func newChannel() -> LoopChannel {
      LoopChannel(
        target: target, resolution: resolution, configuration: configuration, eventLoop: loop, logger: .quiet)
    }
    func attempt(_ channel: LoopChannel) -> ClientAttempt {
      let attempt = ClientAttempt(ClientCall.once(on: channel, path: "/a/B"))
      channel.submit(attempt)
      loop.run()
      return attempt
    }
    func failLookup(_ problem: String) {
      lookups.withLock { $0.removeLast() }.fail(ResolutionError(host: "server", problem: problem))
      loop.run()
    }
    let sleeper = newChannel()
    let first = attempt(sleeper)
    failLookup("not yet")
    #expect(first.state.error?.message.hasSuffix("not yet") == true)
    // Its lookup of that time is over, and no other has begun.
    let other = newChannel()
    #expect(attempt(other).state.error?.message.hasSuffix("not yet") == true)
    for channel in [sleeper, other] { resolution.release(channel) }
    loop.advanceTime(by: .hours(24))
    // In a while all have fallen asleep; this one wakes.
    let late = newChannel()
    let call = attempt(late)
    #expect(!call.isFinished)
    failLookup("not now")
    #expect(call.state.error?.message.hasSuffix("not now") == true)
    for channel in [sleeper, other, late] { _ = channel.shutDown() }
    resolution.stop()
    loop.run()
  }

  @Test("ends with the client")
  func stop() {
    var schedule = fresh
    var step: ResolutionSchedule.Step
    schedule.stop()
    step = schedule.request(at: start)
    #expect(step == .none)
    step = schedule.timerFired(at: start)
    #expect(step == .none)
  }

  @Test("by the system finds the addresses of localhost, and says why it does not find others")
  func system() async throws {
    let addresses = try await Resolver.system.addresses("localhost", 7, loops.client.any()).get()
    #expect(
      addresses.contains(.tcp(host: "127.0.0.1", port: 7)) || addresses.contains(.tcp(host: "::1", port: 7)))
    let error = await #expect(throws: ResolutionError.self) {
      try await Resolver.system.addresses("no-such-host.invalid", 7, loops.client.any()).get()
    }
    #expect(error?.description.hasPrefix("cannot resolve no-such-host.invalid: ") == true)
  }
}
