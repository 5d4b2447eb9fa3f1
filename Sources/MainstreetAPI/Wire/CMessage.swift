internal import CMainstreetProto
internal import CProtobufC
internal import NIOCore
internal import RPC

/// What generated code tells the runtime about a message: its C struct, and how to cross to it and back.
protocol CMessage: RPC.Message {
  /// The struct protoc-gen-c made.
  associatedtype C

  static var table: UnsafePointer<mainstreet_message> { get }

  /// Copies out of a C struct, which stays as it is.
  init(_ c: UnsafePointer<C>)

  /// Initialises a C struct and copies into it. What it points to lives in the arena.
  func fill(_ c: UnsafeMutablePointer<C>, from arena: inout Arena)
}

extension CMessage {
  /// A submessage, as C points to it.
  init(message c: UnsafeMutablePointer<C>) {
    self.init(UnsafePointer(c))
  }
}

/// Between wire bytes and Swift values, by way of libprotobuf-c.
enum CEncoding {
  static func decode<Message: CMessage>(_ bytes: ByteBuffer) throws(MessageDecodingError) -> Message {
    let result = bytes.withUnsafeReadableBytes { wire -> Result<Message, MessageDecodingError> in
      Result { () throws(MessageDecodingError) in
        try WireValidator.check(wire, as: Message.table)
        return try unpack(wire)
      }
    }
    return try result.get()
  }

  private static func unpack<Message: CMessage>(
    _ wire: UnsafeRawBufferPointer
  ) throws(MessageDecodingError) -> Message {
    let message = Arena.with(budgetBytes: Arena.decodingBudgetBytes) { arena -> Message? in
      let unpacked = arena.withAllocator { allocator in
        protobuf_c_message_unpack(
          Message.table.pointee.descriptor, allocator, wire.count,
          wire.baseAddress?.assumingMemoryBound(to: UInt8.self))
      }
      return unpacked.map { unpacked in
        Message(UnsafePointer(UnsafeMutableRawPointer(unpacked).assumingMemoryBound(to: Message.C.self)))
      }
    }
    guard let message else {
      throw MessageDecodingError("takes more memory to decode than is allowed, or is malformed")
    }
    return message
  }

  static func encode(_ message: some CMessage, into buffer: inout ByteBuffer) {
    Arena.with { arena in
      let packable = UnsafeRawPointer(arena.message(message)).assumingMemoryBound(to: ProtobufCMessage.self)
      let size = protobuf_c_message_get_packed_size(packable)
      guard size > 0 else { return }
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { wire in
        guard let start = wire.baseAddress else { return 0 }
        return protobuf_c_message_pack(packable, start.assumingMemoryBound(to: UInt8.self))
      }
    }
  }

  /// Copies a repeated message field out of C.
  static func messages<Message: CMessage>(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<Message.C>?>?, count: Int
  ) -> [Message] {
    UnsafeBufferPointer(start: list, count: count).compactMap { element in
      element.map { Message(message: $0) }
    }
  }
}

extension String {
  /// Text the validating pass has seen.
  init(_ c: ProtobufCBinaryData) {
    self.init(decoding: UnsafeBufferPointer(start: c.data, count: c.len), as: UTF8.self)
  }
}

extension ByteBuffer {
  init(_ c: ProtobufCBinaryData) {
    self.init(bytes: UnsafeRawBufferPointer(start: c.data, count: c.len))
  }
}
