internal import CLibpq
package import NIOCore

extension PostgresClient {
  /// Where to connect and how much of everything.
  package struct Configuration: Sendable {
    /// A libpq URL or connection string. Several hosts, `target_session_attrs` and TLS settings are libpq's
    /// business and work as its manual says.
    package var url: String
    /// Shown in `pg_stat_activity`.
    package var applicationName: String
    /// What the metrics of several clients of one process are told apart by.
    package var pool = "main"
    /// Where names without a schema are looked up, and nowhere else; a plain identifier. The database's own setting if
    /// nil.
    package var schema: String?

    /// Connections that all callers share, in pipeline mode. One or two are fastest.
    package var sharedConnections = 2
    /// Requests sent and not answered on one shared connection. Those behind them have certainly not been sent,
    /// and so survive the connection.
    package var pipelineDepth = 128
    /// Requests waiting for a shared connection, at most.
    package var queueLimit = 10_000

    /// Connections for transactions and copies, at most; opened when needed.
    package var leasedConnections = 8
    /// Callers waiting for one of them, at most.
    package var leaseQueueLimit = 1000

    /// How long a caller without a deadline waits for its turn.
    package var queueTimeout = TimeAmount.seconds(5)
    /// How long a caller waits when there is no connection at all.
    package var unavailableAfter = TimeAmount.milliseconds(800)
    /// Per host, in whole seconds; libpq makes it two at least.
    package var connectTimeout = TimeAmount.seconds(2)

    /// `statement_timeout` of every session; the client itself gives up two seconds later.
    package var statementTimeout = TimeAmount.seconds(15)
    /// `lock_timeout` on shared connections, where whoever waits for a lock keeps everybody behind them waiting too.
    /// Transactions wait as long as their statements may.
    package var lockTimeout = TimeAmount.seconds(1)
    /// `idle_in_transaction_session_timeout` of every session.
    package var idleInTransactionTimeout = TimeAmount.seconds(60)
    /// `statement_timeout` of `copyIn` and `copyOut`.
    package var copyTimeout = TimeAmount.minutes(30)

    /// Notifications kept for a listener that is slow to read them; see `PostgresNotifications`.
    package var notificationLimit = 1024
    /// How long the connection for notifications may be silent before it is asked whether it lives; without an answer
    /// for as long again it is given up.
    package var listenKeepalive = TimeAmount.seconds(10)

    /// A statement that takes longer is logged.
    package var slowStatement = TimeAmount.milliseconds(500)
    /// How long `run` waits at shutdown for what was begun.
    package var shutdownGrace = TimeAmount.seconds(10)
    /// Told of each request by the name of its last statement, on the task that makes it; what it returns is told how
    /// that ended. Nobody, by default.
    package var observer: (@Sendable (_ name: String) -> (@Sendable ((any Error)?) -> Void)?)?

    package init(url: String, applicationName: String = "mainstreet") {
      self.url = url
      self.applicationName = applicationName
    }
  }
}

extension PostgresClient.Configuration: CustomStringConvertible {
  /// Where this connects to, as a log may show it: no password.
  package var description: String {
    let shown: Set = ["host", "hostaddr", "port", "dbname", "user", "sslmode", "target_session_attrs"]
    return
      (try? parameters().filter { shown.contains($0.name) }.map { "\($0.name)=\($0.value)" }
      .joined(separator: " ")) ?? "invalid URL"
  }
}

extension PostgresClient.Configuration {
  typealias Parameter = (name: String, value: String)

  /// What the URL says, as libpq reads it; throws `.misuse` without repeating the URL, which may hold a password.
  func parameters() throws(PostgresError) -> [Parameter] {
    guard let options = PQconninfoParse(url, nil) else {
      throw PostgresError(.misuse, "the database URL is not one libpq understands")
    }
    defer { PQconninfoFree(options) }
    var parameters: [Parameter] = []
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val {
        parameters.append((String(cString: keyword), String(cString: value)))
      }
      option += 1
    }
    return parameters
  }

  /// Whether only a server that takes writes is good enough.
  var requiresWrites: Bool {
    let wanted = try? parameters().first { $0.name == "target_session_attrs" }?.value
    return wanted == "read-write" || wanted == "primary"
  }

  /// The URL's parameters with ours for those it leaves open. Session settings come first in `options`, so that
  /// the URL's own win. The last of them has the server look every second whether we are still there, so that it
  /// does not work on, with locks held, for a client that was killed.
  func connectionParameters() throws(PostgresError) -> [Parameter] {
    var parameters = try parameters()
    let settings = """
      -c statement_timeout=\(statementTimeout.nanoseconds / 1_000_000) \
      -c lock_timeout=\(lockTimeout.nanoseconds / 1_000_000) \
      -c idle_in_transaction_session_timeout=\(idleInTransactionTimeout.nanoseconds / 1_000_000) \
      -c client_connection_check_interval=1000\
      \(schema.map { " -c search_path=\($0)" } ?? "")
      """
    if let index = parameters.firstIndex(where: { $0.name == "options" }) {
      parameters[index].value = settings + " " + parameters[index].value
    } else {
      parameters.append(("options", settings))
    }
    // A peer that vanished without a word while nothing was said is noticed after 20 seconds, not after two hours. See
    // Connector on one that vanished while it was asked something.
    let defaults: [Parameter] = [
      ("fallback_application_name", applicationName),
      ("connect_timeout", String(max(2, connectTimeout.nanoseconds / 1_000_000_000))),
      ("client_encoding", "UTF8"),
      ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "2"),
    ]
    for parameter in defaults where !parameters.contains(where: { $0.name == parameter.name }) {
      parameters.append(parameter)
    }
    return parameters
  }
}
