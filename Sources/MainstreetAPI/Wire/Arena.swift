// Both include protobuf-c.h, and clang counts what it declares as the one's or the other's.
internal import CMainstreetProto
internal import CProtobufC
internal import NIOCore

/// Memory for one crossing between Swift and C: taken piece by piece, given back all at once.
///
/// The first piece is on the stack, so that a small message takes no malloc and a usual one a single one. The
/// budget bounds what a peer can make us allocate; past it the answer is NULL, at which protobuf-c gives up
/// and frees what it has, which here is nothing to do.
struct Arena: ~Copyable {
  /// What decoding one message may take. A 4 MiB message of nothing but the smallest fields wants 16 times its
  /// size for protobuf-c's notes about them; ours want a few times their size.
  static let decodingBudgetBytes = 64 << 20

  /// The most Swift puts on the stack.
  private static let stackBytes = 1024
  private static let firstChunkBytes = 4 << 10
  private static let largestChunkBytes = 256 << 10
  /// protobuf-c multiplies counts of the wire by sizes; what comes out of that is no size.
  private static let largestPieceBytes = 1 << 30
  private static let alignment = 16

  private var free: UnsafeMutableRawBufferPointer
  private var budgetBytes: Int
  private var nextChunkBytes = firstChunkBytes
  /// The newest piece of the heap; each begins with the address of the one before.
  private var newestChunk: UnsafeMutableRawPointer?

  /// Nothing that points into the arena may leave `body`.
  static func with<Result>(budgetBytes: Int = .max, _ body: (inout Arena) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: stackBytes, alignment: alignment) { stack in
      var arena = Arena(free: stack, budgetBytes: budgetBytes)
      return body(&arena)
    }
  }

  private init(free: UnsafeMutableRawBufferPointer, budgetBytes: Int) {
    self.free = free
    self.budgetBytes = budgetBytes
  }

  deinit {
    var chunk = newestChunk
    while let current = chunk {
      chunk = current.load(as: UnsafeMutableRawPointer?.self)
      current.deallocate()
    }
  }

  /// Memory for `size` bytes, aligned for anything; nil when the budget is spent.
  mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
    guard size <= Self.largestPieceBytes else { return nil }
    let rounded = (size + Self.alignment - 1) & ~(Self.alignment - 1)
    if rounded > free.count {
      guard addChunk(atLeast: rounded) else { return nil }
    }
    let piece = free.baseAddress
    free = UnsafeMutableRawBufferPointer(rebasing: free[rounded...])
    return piece
  }

  private mutating func addChunk(atLeast size: Int) -> Bool {
    let chunkBytes = max(nextChunkBytes, size + Self.alignment)
    guard size + Self.alignment <= budgetBytes else { return false }
    budgetBytes -= min(chunkBytes, budgetBytes)
    nextChunkBytes = min(2 * nextChunkBytes, Self.largestChunkBytes)
    let chunk = UnsafeMutableRawPointer.allocate(byteCount: chunkBytes, alignment: Self.alignment)
    chunk.storeBytes(of: newestChunk, as: UnsafeMutableRawPointer?.self)
    newestChunk = chunk
    free = UnsafeMutableRawBufferPointer(
      start: chunk + Self.alignment, count: chunkBytes - Self.alignment)
    return true
  }

  /// The arena as protobuf-c's allocator.
  mutating func withAllocator<Result>(
    _ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> Result
  ) -> Result {
    withUnsafeMutablePointer(to: &self) { arena in
      var allocator = ProtobufCAllocator(
        alloc: { data, size in data?.assumingMemoryBound(to: Arena.self).pointee.allocate(size) },
        free: { _, _ in },
        allocator_data: arena)
      return withUnsafeMutablePointer(to: &allocator, body)
    }
  }
}

// What generated code copies with. Encoding has no budget: what is sent is ours.
extension Arena {
  private mutating func reserve<Element>(_ count: Int, of type: Element.Type) -> UnsafeMutablePointer<Element>
  {
    guard let memory = allocate(count * MemoryLayout<Element>.stride) else {
      preconditionFailure("encoding has no budget to exceed")
    }
    return memory.bindMemory(to: type, capacity: count)
  }

  mutating func copy(_ text: String) -> ProtobufCBinaryData {
    var text = text
    return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
  }

  mutating func copy(_ bytes: ByteBuffer) -> ProtobufCBinaryData {
    bytes.withUnsafeReadableBytes { copy($0) }
  }

  private mutating func copy(_ bytes: UnsafeRawBufferPointer) -> ProtobufCBinaryData {
    guard let source = bytes.baseAddress, !bytes.isEmpty else {
      return ProtobufCBinaryData(len: 0, data: nil)
    }
    let copy = reserve(bytes.count, of: UInt8.self)
    UnsafeMutableRawPointer(copy).copyMemory(from: source, byteCount: bytes.count)
    return ProtobufCBinaryData(len: bytes.count, data: copy)
  }

  mutating func message<Message: CMessage>(_ message: Message) -> UnsafeMutablePointer<Message.C> {
    let c = reserve(1, of: Message.C.self)
    message.fill(c, from: &self)
    return c
  }

  mutating func messages<Message: CMessage>(
    _ messages: [Message]
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<Message.C>?>? {
    array(messages) { arena, message in arena.message(message) }
  }

  mutating func array<Element, C>(
    _ elements: [Element], _ copy: (inout Arena, Element) -> C
  ) -> UnsafeMutablePointer<C>? {
    guard !elements.isEmpty else { return nil }
    let array = reserve(elements.count, of: C.self)
    for (index, element) in elements.enumerated() {
      (array + index).initialize(to: copy(&self, element))
    }
    return array
  }
}
