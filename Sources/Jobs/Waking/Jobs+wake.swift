internal import Logging
internal import Postgres

extension Jobs {
  /// No queue is told of more often. A transaction that notifies holds, while it commits, a lock that all who notify
  /// want, so it is one of its own and nobody's jobs hang on it.
  private static let tellPause = Duration.milliseconds(50)

  /// Tells other processes of jobs added here.
  func tellOthers() async {
    while !Task.isCancelled {
      await doorbells.signal.wait()
      await tell()
      try? await Task.sleep(for: Self.tellPause)
    }
  }

  func tell() async {
    // Not to be taken by one who cannot pass it on.
    guard !Task.isCancelled else { return }
    let queues = doorbells.takeUntold()
    guard !queues.isEmpty else { return }
    do {
      _ = try await postgres.execute(NotifyOfJobs(channel: channel, payloads: queues), tenant: nil)
    } catch {
      // They will find the jobs when they next look.
      logger.debug("cannot tell of new jobs", metadata: ["error": "\(error)"])
    }
  }

  /// Rings for jobs added elsewhere.
  func hearOthers() async {
    do {
      for await event in try postgres.listen(to: [channel]) {
        switch event {
        case .notified(_, let queue): doorbells.ring(queue)
        case .missed: doorbells.ringAll()
        }
      }
    } catch {
      logger.error("cannot hear of new jobs", metadata: ["error": "\(error)"])
    }
  }
}

struct NotifyOfJobs: Statement {
  static let name = "NotifyOfJobs"
  static let sql = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"
  static let isIdempotent = true
  var channel: String
  var payloads: [String]

  func bind(into bindings: inout Bindings) {
    bindings.append(channel)
    bindings.append(payloads)
  }
}
