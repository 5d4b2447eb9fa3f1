import NIOCore
import Testing

@testable import HTTP2

@Suite("Bytes queued on a stream") struct OutboundQueueTests {
  @Test("come out in order however they are cut", arguments: [1, 2, 3, 4, 5, 6, 7, 100])
  func order(size: Int) {
    var queue = OutboundQueue()
    queue.append(.lengthPrefix(flag: 1, length: 0x0203_0405), ByteBuffer(bytes: [6, 7]))
    queue.append(.none, ByteBuffer())
    queue.append(.none, ByteBuffer(bytes: [8, 9]))
    queue.append(.lengthPrefix(flag: 0, length: 0), ByteBuffer())
    #expect(queue.count == 14)
    var out = ByteBuffer()
    while queue.count > 0 { queue.move(min(size, queue.count), to: &out) }
    #expect(Array(out.readableBytesView) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0])
    #expect(queue.occupiedBytes == 0)
  }

  @Test("count for what it takes to keep them, however few they are")
  func occupied() {
    var queue = OutboundQueue()
    for _ in 0..<100 { queue.append(.lengthPrefix(flag: 0, length: 1), ByteBuffer(bytes: [7])) }
    #expect(queue.count == 600)
    #expect(queue.occupiedBytes == 600 + 99 * OutboundQueue.pieceBytes)
    // What an entry in the queue takes, and the least that NIO allocates for a buffer.
    #expect(OutboundQueue.pieceBytes >= 40 + 64)
  }
}
