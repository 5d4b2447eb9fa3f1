package import NIOCore

extension PostgresClient {
  /// Streams rows into a table in one transaction. Row-level security forbids COPY into a table it guards
  /// (0A000): there, open a `transaction`, copy into a temporary table and insert from that.
  /// - Parameter body: writes the rows; if it throws nothing is kept.
  /// - Returns: how many rows were copied.
  @discardableResult
  package func copyIn(
    _ command: CopyCommand, tenant: UUID?, deadline: NIODeadline? = nil,
    _ body: (CopyWriter) async throws -> Void
  ) async throws -> Int {
    // Once only: `body` reads a stream, which cannot be read twice.
    let options = TransactionOptions(statementTimeout: configuration.copyTimeout, attempts: 1)
    return try await transaction(tenant: tenant, options: options, deadline: deadline) { transaction in
      try await transaction.copyIn(command, body)
    }
  }
}

extension Transaction {
  /// Streams rows into a table. `options.statementTimeout` bounds all of it.
  @discardableResult
  package func copyIn(_ command: CopyCommand, _ body: (CopyWriter) async throws -> Void) async throws -> Int {
    try await open()
    try await noting { try await lease.startCopy(command.sql, isOut: false, deadline: expiry) }
    let writer = CopyWriter(lease, expiry)
    do {
      try await body(writer)
      try await writer.flush()
    } catch {
      _ = try? await lease.endCopy(failure: "the client gave up", deadline: .now() + .seconds(2))
      throw error
    }
    return try await noting { try await lease.endCopy(failure: nil, deadline: expiry) }
  }
}

/// Where the rows of a copy go. A write returns when the operating system has taken the bytes, so the caller can
/// run ahead of the server by no more than a chunk and the socket's buffer. Not for use by several tasks at once.
package final class CopyWriter {
  private let lease: Lease
  private let expiry: NIODeadline
  private var buffer = ByteBuffer()

  /// Small writes are gathered up to this many bytes.
  private static let chunkSize = 128 * 1024

  init(_ lease: Lease, _ expiry: NIODeadline) {
    self.lease = lease
    self.expiry = expiry
    buffer.reserveCapacity(Self.chunkSize)
  }

  /// Appends bytes in the command's format; they need not end at the end of a row.
  package func write(_ bytes: ByteBuffer) async throws {
    var bytes = bytes
    while bytes.readableBytes >= Self.chunkSize {
      try await flush()
      guard let chunk = bytes.readSlice(length: Self.chunkSize) else { break }
      try await lease.write(chunk, deadline: expiry)
    }
    buffer.writeImmutableBuffer(bytes)
    try await flushIfFull()
  }

  package func write(_ text: String) async throws {
    buffer.writeString(text)
    try await flushIfFull()
  }

  /// Appends one row of a copy `WITH (FORMAT binary)`, in which columns must have exactly the types appended.
  package func writeRow(_ bind: (inout Bindings) -> Void) async throws {
    if !hasHeader {
      // Signature, flags, length of the header's extension (manual, COPY, "Binary Format").
      buffer.writeBytes([0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00])
      buffer.writeInteger(0 as Int32)
      buffer.writeInteger(0 as Int32)
      hasHeader = true
    }
    var bindings = Bindings()
    bind(&bindings)
    buffer.writeInteger(Int16(truncatingIfNeeded: bindings.types.count))
    buffer.writeBytes(bindings.writer.bytes)
    try await flushIfFull()
  }

  private var hasHeader = false

  private func flushIfFull() async throws {
    if buffer.readableBytes >= Self.chunkSize { try await flush() }
  }

  func flush() async throws {
    guard buffer.readableBytes > 0 else { return }
    let chunk = buffer
    buffer = ByteBuffer()
    buffer.reserveCapacity(Self.chunkSize)
    try await lease.write(chunk, deadline: expiry)
  }
}
