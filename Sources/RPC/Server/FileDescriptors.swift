package import Logging

#if canImport(Glibc)
  import Glibc

  private let openFiles = CInt(RLIMIT_NOFILE.rawValue)
#elseif canImport(Darwin)
  import Darwin

  private let openFiles = RLIMIT_NOFILE
#endif

/// How many files, sockets among them, the process may have open.
package enum FileDescriptors {
  /// Left for everything but the connections of a server: databases, other servers, logs.
  private static let reserved = 128

  /// Raises the soft limit to the hard one. That is for a program to do at its start, not for a server in it: the
  /// limit is the whole process's, and its children's.
  ///
  /// The soft limit is 1024 only for the sake of programs that use `select`.
  package static func raiseLimit() {
    guard var limit = rlimit.ofOpenFiles, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    // Where it may not be raised, servers make do with what there is.
    _ = setrlimit(openFiles, &limit)
  }

  /// The soft limit; `nil` when the system does not say.
  static var limit: Int? {
    rlimit.ofOpenFiles.map { Int(clamping: $0.rlim_cur) }
  }

  /// How many connections a server takes of the `wanted`, for which it may log why those are fewer. Each server counts all
  /// the descriptors of its process as its own: a program has one for the many, and others fit into what is reserved.
  package static func fit(connections wanted: Int, logger: Logger) -> Int {
    guard let limit else { return wanted }
    let possible = connections(of: wanted, limit: limit)
    if possible < wanted {
      logger.warning(
        "fewer connections are taken than configured: the process may not open as many files",
        metadata: ["configured": "\(wanted)", "taken": "\(possible)", "files": "\(limit)"])
    }
    return possible
  }

  /// Not all of them where descriptors are few: without one it could not even refuse.
  static func connections(of wanted: Int, limit: Int) -> Int {
    min(wanted, max(limit - reserved, limit / 2))
  }
}

extension rlimit {
  fileprivate static var ofOpenFiles: rlimit? {
    var limit = rlimit()
    return getrlimit(openFiles, &limit) == 0 ? limit : nil
  }
}
