import NIOCore
import ServiceKit

// What an operator can say about HTTP. What is not said here is not a matter of taste: see `HTTPLimits`.

extension Setting {
  /// Of the Edge's listener.
  static var http: [Setting] {
    publicTLS + [
      Setting(
        "plaintext.http2", default: "false",
        help:
          "Without TLS, also take HTTP/2 from clients that begin with it; for a proxy in front that speaks it."
      ),
      Setting(
        "cors.origins", default: "",
        help:
          "Origins whose pages may call, as browsers write them, with commas between them: https://app.example.org; * for all."
      ),
    ] + HTTPSetting.all.map(\.setting)
  }
}

extension Settings {
  func cors() throws -> CORS {
    do {
      return try CORS(string("cors.origins"))
    } catch let error as CORS.UnusableOrigin {
      throw StartupFailure("\(name("cors.origins")): \(error)")
    }
  }

  func httpLimits() throws -> HTTPLimits { try HTTPSetting.apply(self).http }
  func bodyLimits() throws -> Gateway.Limits { try HTTPSetting.apply(self).bodies }
}

/// One of the limits that an operator can set; its default is what the server was made and tested with.
struct HTTPSetting {
  struct Limits {
    var http = HTTPLimits()
    var bodies = Gateway.Limits()
  }

  let setting: Setting
  let apply: (Settings, inout Limits) throws -> Void

  static func apply(_ settings: Settings) throws -> Limits {
    var limits = Limits()
    for setting in all { try setting.apply(settings, &limits) }
    return limits
  }

  static var all: [HTTPSetting] {
    [
      // How many.
      number("max.connections", \.http.connections, in: 1...1_000_000, "Client connections open at once."),
      number(
        "max.connections.per.address", \.http.connectionsPerAddress, in: 1...1_000_000,
        "The same from one address, or one /64 of IPv6. Behind a proxy, all clients have the proxy's."),
      number(
        "max.streams", \.http.streams, in: 1...10_000, "Requests under way at once on a connection of HTTP/2."
      ),
      // How much.
      bytes("max.header.bytes", \.http.headerBytes, "Bytes of a request line and its fields; 431 for more."),
      bytes("max.body.bytes", \.bodies.jsonBytes, "Bytes of a JSON body; 413 for more."),
      bytes("max.ingest.bytes", \.bodies.ingestBytes, "The same where machines report in bulk."),
      bytes("max.upload.bytes", \.bodies.uploadBytes, "Bytes of a body that is streamed, such as an import."),
      bytes(
        "max.held.bytes", \.http.heldBytes,
        "Bytes of requests and answers kept for all clients, beyond 16 KiB for each request; 503 for what would be more."
      ),
      // How long.
      seconds(
        "header.timeout", \.http.headerDeadline, "Seconds in which a request's header block must arrive."),
      seconds(
        "body.timeout", \.http.bodyDeadline, "Seconds in which its body must arrive, unless it is streamed."),
      seconds("upload.timeout", \.http.uploadDeadline, "Seconds in which a streamed body must arrive."),
      seconds(
        "upload.stall.timeout", \.http.bodyIdleDeadline,
        "Seconds in which more of a streamed body must arrive."),
      seconds(
        "write.stall.timeout", \.http.writeStallDeadline,
        "Seconds a client may take nothing of what is sent to it."),
      seconds("idle.timeout", \.http.idleDeadline, "Seconds a connection may be open without a request."),
    ]
  }

  private static func number(
    _ key: String, _ field: WritableKeyPath<Limits, Int>, in range: ClosedRange<Int>, _ help: String
  ) -> HTTPSetting {
    HTTPSetting(setting: Setting(key, default: "\(Limits()[keyPath: field])", help: help)) {
      $1[keyPath: field] = try $0.int(key, in: range)
    }
  }

  private static func bytes(_ key: String, _ field: WritableKeyPath<Limits, Int>, _ help: String)
    -> HTTPSetting
  {
    number(key, field, in: 1...1 << 40, help)
  }

  private static func seconds(
    _ key: String, _ field: WritableKeyPath<Limits, TimeAmount>, _ help: String
  ) -> HTTPSetting {
    let standard = Limits()[keyPath: field].nanoseconds / 1_000_000_000
    return HTTPSetting(setting: Setting(key, default: "\(standard)", help: help)) {
      $1[keyPath: field] = TimeAmount(try $0.duration(key))
    }
  }
}
