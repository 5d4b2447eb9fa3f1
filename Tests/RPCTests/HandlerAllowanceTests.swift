import Testing

@testable import RPC

@Suite("The handlers a server may run") struct HandlerAllowanceTests {
  @Test("are never more than the limit, whichever loops run them", arguments: [0, 1, 2, 7, 64, 1000])
  func limit(of limit: Int) {
    let pool = HandlerPool(limit: limit, loops: 2)
    var loops = [HandlerAllowance(pool), HandlerAllowance(pool)]
    var running = [0, 0]
    var most = 0
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      let loop = Int.random(in: 0...1, using: &random)
      // More often begun than ended, so that the limit is met.
      if Int.random(in: 0..<5, using: &random) < 3 {
        if loops[loop].take() { running[loop] += 1 }
      } else if running[loop] > 0 {
        running[loop] -= 1
        loops[loop].give()
      }
      most = max(most, running[0] + running[1])
    }
    #expect(most <= limit)
    #expect(most >= limit * 3 / 4)
  }

  @Test("are all to be had again when those running have ended", arguments: [1, 2, 16, 100, 1000])
  func returned(of limit: Int) {
    let pool = HandlerPool(limit: limit, loops: 4)
    var first = HandlerAllowance(pool)
    var second = HandlerAllowance(pool)
    for _ in 0..<3 {
      var taken = 0
      while first.take() { taken += 1 }
      #expect(taken >= limit * 3 / 4)
      for _ in 0..<taken { first.give() }
      taken = 0
      while second.take() { taken += 1 }
      #expect(taken >= limit * 3 / 4)
      for _ in 0..<taken { second.give() }
    }
  }
}
