import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import RPC

@Suite("The files a server may open") struct FileDescriptorTests {
  @Test(
    "bound the connections it takes",
    arguments: [
      (wanted: 4096, limit: 1 << 20, taken: 4096), (wanted: 4096, limit: 1024, taken: 896),
      (wanted: 4096, limit: 100, taken: 50), (wanted: 10, limit: 1024, taken: 10),
    ])
  func bound(wanted: Int, limit: Int, taken: Int) {
    #expect(FileDescriptors.connections(of: wanted, limit: limit) == taken)
  }

  @Test("can be counted")
  func counted() throws {
    #expect(try #require(FileDescriptors.limit) > 0)
  }
}

@Suite("A listener that has no descriptors left") struct AcceptPauseTests {
  private let loop = EmbeddedEventLoop()

  private func withListener(_ body: (EmbeddedChannel) -> Void) {
    let listener = EmbeddedChannel(handler: AcceptPause(logger: .quiet), loop: loop)
    body(listener)
    // A channel that stays open, or is waited for, keeps itself alive.
    _ = try? listener.finish(acceptAlreadyClosed: true)
    loop.advanceTime(by: .seconds(1))
  }

  /// A channel without a socket says what it was told last.
  private func isAccepting(_ listener: EmbeddedChannel) -> Bool {
    listener.options.lazy.compactMap { $0.value as? Bool }.first ?? true
  }

  @Test("asks for no connections until the pause is over, however often it failed")
  func pause() {
    withListener { listener in
      for _ in 0..<3 { listener.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept")) }
      #expect(!isAccepting(listener))
      loop.advanceTime(by: .milliseconds(999))
      #expect(!isAccepting(listener))
      loop.advanceTime(by: .milliseconds(1))
      #expect(isAccepting(listener))
      listener.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
      #expect(!isAccepting(listener))
    }
  }

  @Test("is not bothered by what passes one connection only")
  func others() {
    withListener { listener in
      listener.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
      #expect(isAccepting(listener))
    }
  }

  @Test("does not begin to accept again once it is closed")
  func closed() {
    withListener { listener in
      listener.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
      listener.allowOptionsWhenClosed = true
      listener.close(promise: nil)
      loop.run()
      loop.advanceTime(by: .seconds(2))
      #expect(!isAccepting(listener))
    }
  }
}
