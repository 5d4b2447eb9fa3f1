import Testing

@testable import MainstreetAPI

@Suite struct ArenaTests {
  @Test(
    "Pieces are aligned, apart, and as large as asked", arguments: [1, 16, 1000, 1024, 1025, 5000, 300_000])
  func pieces(size: Int) {
    Arena.with { arena in
      var starts: [UnsafeMutableRawPointer] = []
      for index in 0..<20 {
        guard let piece = arena.allocate(size) else {
          Issue.record("no memory")
          return
        }
        #expect(Int(bitPattern: piece) % 16 == 0)
        piece.initializeMemory(as: UInt8.self, repeating: UInt8(index), count: size)
        starts.append(piece)
      }
      for (index, piece) in starts.enumerated() {
        let bytes = UnsafeRawBufferPointer(start: piece, count: size)
        #expect(bytes.allSatisfy { $0 == UInt8(index) })
      }
    }
  }

  @Test("Past its budget an arena has nothing, and what it gave stays good")
  func budget() {
    Arena.with(budgetBytes: 10_000) { arena in
      let piece = arena.allocate(3000)
      #expect(piece != nil)
      #expect(arena.allocate(20_000) == nil)
      var given = 3000
      while arena.allocate(500) != nil { given += 500 }
      // The stack's first kilobyte is free, and chunks are charged whole.
      #expect((5000...12_000).contains(given))
      piece?.storeBytes(of: 1, as: UInt8.self)
    }
  }

  @Test("A size no memory has is refused, not wrapped around")
  func hugeSize() {
    Arena.with { arena in
      #expect(arena.allocate(.max) == nil)
      #expect(arena.allocate(.max - 8) == nil)
    }
  }

  @Test("An empty piece is still a piece: protobuf-c takes NULL for failure")
  func emptyPiece() {
    Arena.with(budgetBytes: 0) { arena in
      #expect(arena.allocate(0) != nil)
    }
  }
}
