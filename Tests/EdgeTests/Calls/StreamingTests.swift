import NIOCore
import RPC
import Testing

@testable import Edge

@Suite struct StreamingTests {
  static let id = EdgeUnderTest.tenant
  /// More than sockets and windows on the way may hold by far.
  static let large = 64 << 20
  /// What they may hold: kernel buffers of four socket ends, two windows, one buffer of the Edge.
  static let inFlight = 24 << 20

  @Test("An upload reaches the service as it came, with its type", arguments: [true, false])
  func upload(chunked: Bool) async throws {
    let imports = MethodDefinition.streaming("ImportPolls") { requests, responses, _ in
      var (types, text) = ([String](), "")
      for try await message in requests {
        let piece = try RawBody(decoding: message)
        types.append(piece.contentType)
        text += String(buffer: piece.data)
      }
      guard types.first == "text/csv", types.dropFirst().allSatisfy(\.isEmpty), text == "a,b\n1,2\n" else {
        throw RPCError(.internal, "\(types) \(text)", reason: "UNEXPECTED")
      }
      // ImportSummary {rows 1}
      try await responses.write(ByteBuffer(bytes: [0x08, 1]))
    }
    try await withEdge([imports]) { edge in
      let client = try await edge.connect()
      let head = "POST /imports/polls HTTP/1.1\r\nHost: t\r\nContent-Type: text/csv\r\n"
      if chunked {
        try await client.send(head + "Transfer-Encoding: chunked\r\n\r\n4\r\na,b\n\r\n")
        try await client.send("4\r\n1,2\n\r\n0\r\n\r\n")
      } else {
        try await client.send(head + "Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\na,b\n1,2\n")
      }
      let response = await client.response()
      #expect(response?.status == 200)
      #expect(response?.member("rows") == "1")
      #expect(try await client.request("GET", "/nowhere").status == 404)
    }
  }

  @Test("An upload without a byte is one empty piece")
  func emptyUpload() async throws {
    let imports = MethodDefinition.streaming("ImportPolls") { requests, responses, _ in
      var count = 0
      for try await _ in requests { count += 1 }
      try await responses.write(ByteBuffer(bytes: [0x08, UInt8(count)]))
    }
    try await withEdge([imports]) { edge in
      let response = try await edge.request("POST", "/imports/polls", "")
      #expect(response.member("rows") == "1")
    }
  }

  @Test("A slow service slows its client: what is under way stays bounded")
  func uploadBackpressure() async throws {
    let (sent, widest) = (Count(), Count())
    let imports = MethodDefinition.streaming("ImportPolls") { requests, responses, _ in
      var received = 0
      for try await message in requests {
        received += message.readableBytes
        widest.raise(to: sent.value - received)
        // Gives the sender every chance to run ahead.
        for _ in 0..<20 { await Task.yield() }
      }
      try await responses.write(ByteBuffer(bytes: [0x08, 1]))
    }
    try await withEdge([imports]) { edge in
      let client = try await edge.connect()
      try await client.send(
        "POST /imports/polls HTTP/1.1\r\nHost: t\r\nContent-Length: \(Self.large)\r\n\r\n")
      let piece = ByteBuffer(repeating: 0x61, count: 1 << 18)
      while sent.value < Self.large {
        try await client.channel.writeAndFlush(piece).get()
        sent.add(piece.readableBytes)
      }
      #expect(await client.response()?.status == 200)
    }
    #expect(widest.value < Self.inFlight)
  }

  @Test("A service that refuses an upload half-way is heard at once")
  func earlyRefusal() async throws {
    let imports = MethodDefinition.streaming("ImportPolls") { requests, _, _ in
      for try await _ in requests {
        throw RPCError(.invalidArgument, "The column status is missing.", reason: "CSV_COLUMN_MISSING")
      }
    }
    try await withEdge([imports]) { edge in
      let client = try await edge.connect()
      try await client.send(
        "POST /imports/polls HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nstore_id\n")
      let response = await client.response()
      #expect(response?.status == 400)
      #expect(response?.member("code") == "CSV_COLUMN_MISSING")
      #expect(response?["Connection"] == "close")
      #expect(await client.isClosed())
    }
  }

  @Test("A client that hangs up in the middle of an upload cancels the call")
  func uploadDisconnect() async throws {
    let (started, cancelled) = (Signal(), Signal())
    let imports = MethodDefinition.streaming("ImportPolls") { requests, _, _ in
      do {
        for try await _ in requests { await started.raise() }
      } catch {
        await cancelled.raise()
        throw error
      }
    }
    try await withEdge([imports]) { edge in
      let client = try await edge.connect()
      try await client.send(
        "POST /imports/polls HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nstore_id\n")
      await started.wait()
      try await client.close()
      await cancelled.wait()
    }
  }

  @Test("An upload that was refused for its expectation never reaches the service")
  func refusedExpectation() async throws {
    let calls = Count()
    let imports = MethodDefinition.streaming("ImportPolls") { requests, responses, _ in
      calls.add(1)
      for try await _ in requests {}
      try await responses.write(ByteBuffer(bytes: [0x08, 1]))
    }
    try await withEdge([imports]) { edge in
      let refused = try await edge.request("POST", "/imports/polls", "a,b\n", headers: ["Expect: tea"])
      #expect(refused.status == 417)
      // The RPCs of one connection begin in order: were there one for the first request, it had been seen by now.
      #expect(try await edge.request("POST", "/imports/polls", "a,b\n").status == 200)
      #expect(calls.value == 1)
    }
  }

  @Test("An upload over the limit ends with 413, and the service does not take it for complete")
  func uploadLimit() async throws {
    let (started, cancelled) = (Signal(), Signal())
    let imports = MethodDefinition.streaming("ImportPolls") { requests, _, _ in
      do {
        for try await _ in requests { await started.raise() }
      } catch {
        await cancelled.raise()
        throw error
      }
    }
    var limits = Gateway.Limits()
    limits.uploadBytes = 10
    try await withEdge([imports], callLimits: limits) { edge in
      let client = try await edge.connect()
      try await client.send("POST /imports/polls HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
      try await client.send("4\r\nabcd\r\n")
      await started.wait()
      try? await client.send("8\r\nabcdefgh\r\n")
      #expect(await client.response()?.status == 413)
      await cancelled.wait()
    }
  }

  @Test("A download's first message decides its type, the service its file name")
  func download() async throws {
    let report = MethodDefinition.streaming("DownloadReport") { requests, responses, context in
      for try await _ in requests {}
      context.setInitialMetadata("http-content-disposition", "attachment; filename=report-1.csv")
      try await responses.write(RawBody(contentType: "text/csv", data: ByteBuffer(string: "a,b\n")).encoded())
      try await responses.write(RawBody(contentType: "", data: ByteBuffer(string: "1,2\n")).encoded())
    }
    try await withEdge([report]) { edge in
      let client = try await edge.connect()
      let response = try await client.request("GET", "/get_report/\(Self.id)")
      #expect(response.status == 200)
      #expect(response["Content-Type"] == "text/csv")
      #expect(response["Content-Disposition"] == "attachment; filename=report-1.csv")
      #expect(response.body == "a,b\n1,2\n")
      #expect(response.isComplete)
      let head = try await client.request("HEAD", "/get_report/\(Self.id)")
      #expect(head["Content-Type"] == "text/csv")
      #expect(try await client.request("GET", "/get_report/\(Self.id)").body == "a,b\n1,2\n")
    }
  }

  @Test("A download without content is 204 and leaves the connection clean", arguments: [false, true])
  func emptyDownload(hasPiece: Bool) async throws {
    let report = MethodDefinition.streaming("DownloadReport") { _, responses, context in
      guard hasPiece else { return }
      context.setInitialMetadata("http-status", "204")
      try await responses.write(RawBody(contentType: "text/csv", data: ByteBuffer(string: "a,b\n")).encoded())
    }
    try await withEdge([report]) { edge in
      let client = try await edge.connect()
      for _ in 0..<2 {
        let response = try await client.request("GET", "/get_report/\(Self.id)")
        #expect(response.status == 204)
        #expect(response["Transfer-Encoding"] == nil)
        #expect(response["Content-Length"] == nil)
      }
    }
  }

  @Test("A download to an HTTP/1.0 client ends with the connection")
  func download10() async throws {
    let report = MethodDefinition.streaming("DownloadReport") { _, responses, _ in
      try await responses.write(RawBody(contentType: "text/csv", data: ByteBuffer(string: "a,b\n")).encoded())
    }
    try await withEdge([report]) { edge in
      let client = try await edge.connect()
      try await client.send("GET /get_report/\(Self.id) HTTP/1.0\r\n\r\n")
      let response = await client.response()
      #expect(response?["Transfer-Encoding"] == nil)
      #expect(response?.body == "a,b\n")
    }
  }

  @Test("A download that fails before its first byte is a problem, after it a cut connection")
  func downloadFailure() async throws {
    let report = MethodDefinition.streaming("DownloadReport") { requests, responses, _ in
      for try await request in requests where request.readableBytes > 0 {
        if String(buffer: request).contains("1190") {
          throw RPCError(.notFound, "No such report.", reason: "REPORT_NOT_FOUND")
        }
      }
      try await responses.write(RawBody(contentType: "text/csv", data: ByteBuffer(string: "a,b\n")).encoded())
      throw RPCError(.internal, "the disk is gone")
    }
    try await withEdge([report]) { edge in
      let missing = try await edge.request("GET", "/get_report/1190b3a2-7b1e-7cc3-98c4-dc0c0c07398f")
      #expect(missing.status == 404)
      #expect(missing.member("code") == "REPORT_NOT_FOUND")
      let cut = try await edge.request("GET", "/get_report/\(Self.id)")
      #expect(cut.status == 200)
      #expect(!cut.isComplete)
    }
  }

  @Test("A slow client slows its service")
  func downloadBackpressure() async throws {
    let (written, received, widest) = (Count(), Count(), Count())
    let report = MethodDefinition.streaming("DownloadReport") { _, responses, _ in
      let piece = RawBody(contentType: "text/csv", data: ByteBuffer(repeating: 0x61, count: 1 << 16))
        .encoded()
      while written.value < Self.large {
        try await responses.write(piece)
        widest.raise(to: written.add(1 << 16) - received.value)
      }
    }
    try await withEdge([report]) { edge in
      let client = try await edge.connect(autoRead: false)
      let channel = client.channel
      try await channel.pipeline.addHandler(ReadCounter(received), position: .first)
      try await client.send("GET /get_report/\(Self.id) HTTP/1.1\r\nHost: t\r\n\r\n")
      while received.value < Self.large {
        channel.read()
        for _ in 0..<20 { await Task.yield() }
      }
      try await client.close()
    }
    #expect(widest.value < Self.inFlight)
  }
}

extension Count {
  func raise(to other: Int) {
    let current = value
    if other > current { add(other - current) }
  }
}

private final class ReadCounter: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  private let count: Count

  init(_ count: Count) { self.count = count }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    count.add(unwrapInboundIn(data).readableBytes)
  }
}
