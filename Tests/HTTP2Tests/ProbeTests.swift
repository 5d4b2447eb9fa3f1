import NIOCore
import Testing

@testable import HTTP2

@Suite("A probe") struct ProbeTests {
  /// What a client does, looking every second at a server that `look` describes.
  private func watch(
    seconds: Int64, look: (Int64, inout ConnectionTimers.Sight) -> Void
  ) -> [(second: Int64, action: ConnectionTimers.Action)] {
    var configuration = HTTP2Configuration()
    configuration.probeInterval = .seconds(2)
    configuration.probeTimeout = .seconds(3)
    configuration.keepaliveInterval = .seconds(60)
    configuration.keepaliveTimeout = .seconds(20)
    var timers = ConnectionTimers(configuration, jitter: 0, now: .after(0))
    var sight = ConnectionTimers.Sight()
    sight.openStreams = 1
    return (0...seconds).compactMap { second in
      look(second, &sight)
      return timers.check(sight, now: .after(second * 1000)).map { (second, $0) }
    }
  }

  @Test("gives up a server that hangs")
  func hangs() {
    let actions = watch(seconds: 10) { _, _ in }
    #expect(actions.prefix(2).map(\.second) == [2, 5])
    #expect(actions.first?.action == .ping)
    #expect(
      actions.dropFirst().first?.action
        == .close(reason: "the peer did not answer a keepalive PING within 3.0 seconds"))
  }

  @Test("is sent once to a server that lives and takes its time; then keepalive watches over it")
  func slow() {
    let actions = watch(seconds: 70) { second, sight in
      // It acknowledges the PINGs.
      if second == 3 || second == 64 { sight.bytesIn += 17 }
    }
    #expect(actions.map(\.second) == [2, 63])
    #expect(actions.allSatisfy { $0.action == .ping })
  }

  @Test("is sent again once the server has answered a call")
  func answered() {
    let actions = watch(seconds: 8) { second, sight in
      if second == 3 { sight.bytesIn += 17 }
      if second == 4 {
        sight.bytesIn += 50
        sight.headerBlocks += 1
      }
      if second == 7 { sight.bytesIn += 17 }
    }
    #expect(actions.map(\.second) == [2, 6])
  }

  @Test("gives up a server that hangs although every call to it is given up before it fires")
  func overtaken() {
    let actions = watch(seconds: 10) { second, sight in
      // A stream is opened and cancelled between any two looks.
      sight.openStreams = 0
      sight.streamsOpened += 1
    }
    #expect(actions.prefix(2).map(\.second) == [3, 6])
  }

  @Test("spent on a stream that is quiet by nature is followed by one for a call that hangs, and by no third")
  func quietStream() {
    let actions = watch(seconds: 30) { second, sight in
      // The stream that is quiet is there from the beginning, the calls come at 20 and 25; all PINGs are acknowledged.
      if second == 20 || second == 25 {
        sight.openStreams += 1
        sight.streamsOpened += 1
      }
      if second == 3 || second == 21 { sight.bytesIn += 17 }
    }
    #expect(actions.map(\.second) == [2, 20])
    #expect(actions.allSatisfy { $0.action == .ping })
    let hung = watch(seconds: 24) { second, sight in
      if second == 20 { sight.streamsOpened += 1 }
      if second == 3 { sight.bytesIn += 17 }
    }
    #expect(hung.prefix(3).map(\.second) == [2, 20, 23])
    #expect(hung.dropFirst(2).first?.action.isClose == true)
  }

  @Test("is not sent for what a server did not say while it had nothing to answer")
  func unused() {
    let actions = watch(seconds: 32) { second, sight in sight.openStreams = second < 30 ? 0 : 1 }
    #expect(actions.map(\.second) == [32])
  }
}

extension ConnectionTimers.Action {
  fileprivate var isClose: Bool { if case .close = self { true } else { false } }
}
