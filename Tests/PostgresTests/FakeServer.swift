import Foundation
import NIOCore
import Testing

@testable import Postgres

/// A server on a socket of its own that speaks as much of Postgres's protocol as `Echo` needs, and answers and goes away
/// when it is told to.
///
/// Its side of the talk is a closure that reads like one, on a thread of its own, since it blocks.
enum FakeServer {
  /// Runs both sides. Nobody else is let in when the server's side has ended.
  static func with(
    server: @escaping @Sendable (inout Session) throws -> Void, client: (_ url: String) async throws -> Void
  ) async throws {
    let listener = try Listener()
    let (ended, end) = AsyncThrowingStream.makeStream(of: Void.self)
    Thread {
      end.finish(throwing: Result { try listener.serve(server) }.failure)
    }.start()
    try await client(listener.url)
    for try await _ in ended {}
  }

  /// Gives back what it was given.
  struct Echo: Statement {
    static let name = "Echo"
    static let sql = "SELECT $1"
    var number: Int64
    func bind(into bindings: inout Bindings) { bindings.append(number) }
    static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
  }

  /// What a client sent up to a Sync: the kinds of its messages, and the number to be echoed.
  struct Request {
    var kinds: [UInt8] = []
    var number: Int64 = 0
  }

  struct Failure: Error {
    let call: String
    let number = errno
    init(_ call: String) { self.call = call }
  }

  private struct Listener {
    let directory: String
    let descriptor: Int32

    var url: String { "postgresql:///fake?host=\(directory)&user=nobody" }

    init() throws {
      directory = FileManager.default.temporaryDirectory.path + "/pg-\(UInt32.random(in: 0 ... .max))"
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      let path = Array("\(directory)/.s.PGSQL.5432".utf8)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
      descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      let status = withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      guard status == 0, listen(descriptor, 8) == 0 else { throw Failure("listen") }
    }

    func serve(_ body: (inout Session) throws -> Void) throws {
      defer {
        close(descriptor)
        try? FileManager.default.removeItem(atPath: directory)
      }
      let accepted = accept(descriptor, nil, nil)
      guard accepted >= 0 else { throw Failure("accept") }
      defer { close(accepted) }
      var session = Session(descriptor: accepted)
      try session.greet()
      try body(&session)
    }
  }
}

extension FakeServer {
  /// The server's end of one connection.
  struct Session {
    fileprivate let descriptor: Int32
    private var received = ByteBuffer()

    fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

    fileprivate mutating func greet() throws {
      let length = try take { $0.readInteger(as: Int32.self) }
      _ = try take { $0.readSlice(length: Int(length) - 4) }
      var answer = message("R") { $0.writeInteger(0 as Int32) }
      answer.writeImmutableBuffer(ready)
      try send(answer)
    }

    /// Waits for so many requests.
    mutating func requests(_ count: Int) throws -> [Request] {
      try (0..<count).map { _ in
        var request = Request()
        while request.kinds.last != UInt8(ascii: "S") {
          let (kind, length) = try take { $0.readMultipleIntegers(as: (UInt8, Int32).self) }
          var body = try take { $0.readSlice(length: Int(length) - 4) }
          request.kinds.append(kind)
          // What is bound comes last but for the one format of all results.
          if kind == UInt8(ascii: "B") {
            body.moveReaderIndex(forwardBy: body.readableBytes - 12)
            request.number = body.readInteger() ?? 0
          }
        }
        return request
      }
    }

    /// Answers all of them in one write, and says more behind if there is more to say.
    func answer(_ requests: some Sequence<Request>, then more: ByteBuffer = ByteBuffer()) throws {
      var answers = ByteBuffer()
      for request in requests {
        for kind in request.kinds { answers.writeImmutableBuffer(answer(kind, request.number)) }
      }
      answers.writeImmutableBuffer(more)
      try send(answers)
    }

    /// Goes away before the closure returns.
    func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// As the server says when an operator ends its process.
    var farewell: ByteBuffer {
      message("E") { body in
        for field in ["SFATAL", "VFATAL", "C57P01", "Mterminating connection"] {
          body.writeNullTerminatedString(field)
        }
        body.writeInteger(0 as UInt8)
      }
    }

    private func answer(_ kind: UInt8, _ number: Int64) -> ByteBuffer {
      switch kind {
      case UInt8(ascii: "P"): message("1") { _ in }
      case UInt8(ascii: "B"): message("2") { _ in }
      case UInt8(ascii: "D"):
        message("T") { body in
          body.writeInteger(1 as Int16)
          body.writeNullTerminatedString("number")
          // Of no table; int8, of 8 bytes, without a modifier, in binary.
          body.writeMultipleIntegers(0 as Int32, 0 as Int16, 20 as Int32, 8 as Int16, -1 as Int32, 1 as Int16)
        }
      case UInt8(ascii: "E"):
        {
          var row = message("D") { $0.writeMultipleIntegers(1 as Int16, 8 as Int32, number) }
          row.writeImmutableBuffer(message("C") { $0.writeNullTerminatedString("SELECT 1") })
          return row
        }()
      default: ready
      }
    }

    private var ready: ByteBuffer { message("Z") { $0.writeInteger(UInt8(ascii: "I")) } }

    private func message(_ kind: Unicode.Scalar, _ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
      var body = ByteBuffer()
      write(&body)
      var message = ByteBuffer()
      message.writeInteger(UInt8(ascii: kind))
      message.writeInteger(Int32(body.readableBytes + 4))
      message.writeImmutableBuffer(body)
      return message
    }

    /// What `read` finds in what has come, once enough has.
    private mutating func take<Value>(_ read: (inout ByteBuffer) -> Value?) throws -> Value {
      while true {
        if let value = read(&received) { return value }
        var bytes = [UInt8](repeating: 0, count: 1 << 14)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { throw Failure("recv") }
        received.writeBytes(bytes[..<count])
      }
    }

    private func send(_ bytes: ByteBuffer) throws {
      let count = bytes.withUnsafeReadableBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count == bytes.readableBytes else { throw Failure("send") }
    }
  }
}

extension Result {
  fileprivate var failure: Failure? {
    if case .failure(let failure) = self { failure } else { nil }
  }
}
