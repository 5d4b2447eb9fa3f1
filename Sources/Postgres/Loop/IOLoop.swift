internal import CLibpq
internal import DequeModule
internal import Glibc
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The one thread that does all the I/O of a client.
///
/// Callers leave commands in the inbox and wake the thread if it sleeps; it polls the sockets of all connections,
/// and resumes the callers whose answers have come in one go. Everything but the inbox is the thread's own.
final class IOLoop: @unchecked Sendable {
  enum Command {
    /// A request for any shared connection.
    case request(Request)
    case lease(LeaseRequest)
    /// On a leased connection.
    case leased(Request, Connection)
    case query(QueryOperation, Connection)
    case discard(Connection)
    case release(Connection)
    /// The server behind this connection takes no writes any more.
    case demoted(Connection)
    case listen(NotificationQueue)
    case unlisten(NotificationQueue)
    case opened(Target, Result<Connection, PostgresError>)
    /// Finish what has been begun, for as long as the grace, then stop.
    case drain(Waiter<Void>)
    case stop
  }

  /// What a connection is opened for.
  enum Target {
    case shared(Int)
    case leased
    case listening
  }

  private struct Inbox {
    var commands: [Command] = []
    var isAsleep = false
    var isClosed = false
  }

  let configuration: PostgresClient.Configuration
  let logger: Logger
  let metrics: PostgresMetrics
  let connector: Connector
  let requiresWrites: Bool
  private let inbox = NIOLockedValueBox(Inbox())
  private let wakeup = mainstreet_eventfd()

  // The thread's own, from here on.
  var now = NIODeadline.now()
  var random = SystemRandomNumberGenerator()
  /// Not sent yet, in order.
  var waiting: Deque<Request> = []
  var shared: [SharedSlot]
  var pool: LeasePool<LeaseRequest, Connection>
  var leased: [Connection] = []
  var leaseBackoff = Backoff()
  var leaseRetries: [NIODeadline] = []
  var listening = Listening()
  /// Why the last attempt to connect failed; nil while the database is there.
  var outage: PostgresError?
  /// Answered, to be resumed at the end of this turn, or as soon as they are `handOver`.
  var finishedRequests: [Request] = []
  /// The same of everything else.
  var finished: [any Resumable] = []
  var drained: Waiter<Void>?
  var drainExpiry = NIODeadline.distantFuture
  /// Since when the database has not been there.
  var outageSince = NIODeadline.distantPast
  // When the database stalls every caller is slow, or refused: a few lines say that as well as thousands.
  var slowLog = LogLimit(linesPerSecond: 10)
  var refusalLog = LogLimit(linesPerSecond: 1)
  var failureLog = LogLimit(linesPerSecond: 10)
  private(set) var isStopping = false
  private var nextTick = NIODeadline.distantPast
  // Kept between turns for their memory: the connections polled, and behind the wake-up what is polled of each.
  private var polled: [Connection] = []
  private var descriptors: [pollfd] = []

  /// Waits and deadlines are exact to this much; only while there is something to wait for.
  private static let tick = TimeAmount.milliseconds(20)
  /// So many answered callers are resumed at a time. If all that one read brings were, callers and this thread would take
  /// turns: they would all wait for it, then it, and the server, for all of them.
  static let handOver = 16

  init(
    configuration: PostgresClient.Configuration, parameters: [PostgresClient.Configuration.Parameter],
    logger: Logger
  ) {
    self.configuration = configuration
    self.logger = logger
    metrics = PostgresMetrics(pool: configuration.pool)
    requiresWrites = configuration.requiresWrites
    connector = Connector(parameters: parameters, logger: logger)
    shared = (0..<max(1, configuration.sharedConnections)).map { _ in SharedSlot() }
    pool = LeasePool(
      capacity: max(1, configuration.leasedConnections), queueLimit: configuration.leaseQueueLimit)
  }

  deinit { close(wakeup) }

  func start() {
    if !DetachedThread.run(named: "postgres", { self.run() }) {
      logger.critical("cannot start the thread for Postgres")
      inbox.withLockedValue { $0.isClosed = true }
    }
  }

  func stop() { submit(.stop) }

  func drain() async {
    let drained = Waiter<Void>()
    try? await drained.wait(isCancellable: false, submit: { submit(.drain(drained)) })
  }

  /// May be called from anywhere.
  func submit(_ command: Command) {
    let (isClosed, isAsleep) = inbox.withLockedValue { inbox in
      guard !inbox.isClosed else { return (true, false) }
      inbox.commands.append(command)
      defer { inbox.isAsleep = false }
      return (false, inbox.isAsleep)
    }
    if isClosed { refuse(command).forEach { $0.resume() } }
    if isAsleep { _ = eventfd_write(wakeup, 1) }
  }

  // MARK: The thread

  private func run() {
    for index in shared.indices { open(.shared(index)) }
    var commands: [Command] = []
    var ready: [(connection: Connection, revents: Int16)] = []
    while !isStopping {
      takeCommands(into: &commands)
      for command in commands { handle(command) }
      commands.removeAll(keepingCapacity: true)
      dispatch()
      finishTurn()
      poll(into: &ready)
      for (connection, revents) in ready { advance(connection, revents) }
      ready.removeAll(keepingCapacity: true)
      dispatch()
      if nextTick <= now { tick() }
      finishTurn()
    }
    shutDown()
  }

  private func takeCommands(into commands: inout [Command]) {
    inbox.withLockedValue { inbox in
      swap(&commands, &inbox.commands)
      inbox.isAsleep = false
    }
  }

  private func handle(_ command: Command) {
    switch command {
    case .request(let request): accept(request)
    case .lease(let request): accept(request)
    case .leased(let request, let connection): send(request, on: connection)
    case .query(let operation, let connection): connection.begin(operation, finished: &finished)
    case .discard(let connection): discard(connection)
    case .release(let connection): release(connection)
    case .demoted(let connection): retireAll(because: connection)
    case .listen(let queue): accept(queue)
    case .unlisten(let queue): dismiss(queue)
    case .opened(let target, let result): opened(target, result)
    case .drain(let waiter):
      drained = waiter
      drainExpiry = now + configuration.shutdownGrace
      nextTick = now
    case .stop: isStopping = true
    }
  }

  /// Sleeps until something can be read or written, or there is a command, or a tick is due.
  private func poll(into ready: inout [(connection: Connection, revents: Int16)]) {
    descriptors.removeAll(keepingCapacity: true)
    descriptors.append(pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0))
    gatherConnections()
    for connection in polled {
      let events = (connection.wantsRead ? POLLIN : 0) | (connection.wantsWrite ? POLLOUT : 0)
      descriptors.append(pollfd(fd: connection.socket, events: Int16(events), revents: 0))
    }
    let timeout = inbox.withLockedValue { inbox in
      guard inbox.commands.isEmpty else { return 0 as Int32 }
      inbox.isAsleep = true
      return sleepMilliseconds
    }
    let count = Glibc.poll(&descriptors, nfds_t(descriptors.count), timeout)
    now = .now()
    guard count > 0 else { return }
    if descriptors[0].revents != 0 {
      var wakeups: eventfd_t = 0
      _ = eventfd_read(wakeup, &wakeups)
    }
    for index in polled.indices where descriptors[index + 1].revents != 0 {
      ready.append((polled[index], descriptors[index + 1].revents))
    }
  }

  private func gatherConnections() {
    polled.removeAll(keepingCapacity: true)
    for slot in shared { if let connection = slot.connection { polled.append(connection) } }
    polled.append(contentsOf: leased)
    if let connection = listening.connection { polled.append(connection) }
  }

  private func advance(_ connection: Connection, _ revents: Int16) {
    if Int32(revents) & ~POLLOUT != 0 {
      connection.receive(now: now) { complete($0, of: connection) }
      if connection === listening.connection { hear(on: connection) }
    }
    if Int32(revents) & POLLOUT != 0 { push(connection) }
    connection.settle(&finished)
  }

  /// Sends what libpq holds back.
  func push(_ connection: Connection) {
    connection.flush()
    takeAnswers(of: connection)
  }

  /// Completes what libpq has read the answers of.
  func takeAnswers(of connection: Connection) {
    connection.drain { complete($0, of: connection) }
  }

  /// Called while a connection's answers are taken from it, so it sends nothing: what a resumed caller wants next waits
  /// in the inbox.
  private func complete(_ request: Request, of connection: Connection) {
    if connection === listening.connection { return completeListen(request, on: connection) }
    complete(request, on: connection)
    if finishedRequests.count >= Self.handOver { finishedRequests.resumeAll() }
  }

  /// Closes what has failed, then wakes those who have their answer, all in one go.
  private func finishTurn() {
    for slot in shared.indices {
      shared[slot].connection?.failIfRetired()
      if shared[slot].connection?.failure != nil { lose(slot) }
    }
    for connection in leased where connection.failure != nil { lose(connection) }
    loseListening()
    resumeFinished()
  }

  private func resumeFinished() {
    finishedRequests.resumeAll()
    for waiter in finished { waiter.resume() }
    finished.removeAll(keepingCapacity: true)
  }

  /// Whether time matters: somebody waits, or a connection is to be opened again.
  private var isBusy: Bool {
    !waiting.isEmpty || pool.waiting > 0 || drained != nil || !leaseRetries.isEmpty
      || shared.contains { $0.retry != nil || !($0.connection?.isIdle ?? true) }
      || listening.isBusy || leased.contains { !$0.pipeline.isEmpty || $0.operation != nil }
  }

  /// Until the next tick if there is anything to wait for; without end if not.
  private var sleepMilliseconds: Int32 {
    if isBusy { return Int32(Self.tick.nanoseconds / 1_000_000) }
    guard let nextKeepalive else { return -1 }
    return Int32(clamping: max(0, (nextKeepalive - .now()).nanoseconds) / 1_000_000 + 1)
  }

  private func tick() {
    nextTick = now + Self.tick
    for slot in shared.indices {
      guard let retry = shared[slot].retry, retry <= now else { continue }
      shared[slot].retry = nil
      open(.shared(slot))
    }
    for retry in leaseRetries where retry <= now { _ = retry; open(.leased) }
    leaseRetries.removeAll { $0 <= now }
    tickListening()
    expire()
    metrics.record(
      waiting: waiting.count + pool.waiting,
      inFlight: shared.reduce(0) { $0 + ($1.connection?.pipeline.count ?? 0) }, leased: pool.inUse)
    if drained != nil, drainExpiry <= now || isDrained { isStopping = true }
  }

  private var isDrained: Bool {
    waiting.isEmpty && pool.waiting == 0 && pool.inUse == 0
      && shared.allSatisfy { $0.connection?.pipeline.isEmpty ?? true }
  }

  /// Opens a connection on a thread of its own, which reports back.
  func open(_ target: Target) {
    let mayCopy = if case .leased = target { true } else { false }
    let isBegun = DetachedThread.run(named: "postgres-open") { [connector, weak self] in
      let result = connector.connect(mayCopy: mayCopy)
      self?.submit(.opened(target, result))
    }
    if !isBegun {
      opened(target, .failure(PostgresError(.unavailable, "no thread to connect with")))
    }
  }

  private func shutDown() {
    let left = inbox.withLockedValue { inbox in
      inbox.isClosed = true
      defer { inbox.commands = [] }
      return inbox.commands
    }
    for command in left { finished += refuse(command) }
    for request in waiting { fail(request, shuttingDown) }
    waiting.removeAll()
    for waiter in pool.removeAll().waiters {
      if waiter.finish(.failure(shuttingDown)) { finished.append(waiter) }
    }
    for connection in shared.compactMap(\.connection) + leased {
      connection.fail(PostgresError(.connectionLost, "the client was shut down"))
    }
    for slot in shared.indices where shared[slot].connection != nil { lose(slot) }
    for request in waiting { fail(request, shuttingDown) }
    for connection in leased { lose(connection) }
    for queue in listening.queues { queue.end() }
    listening = Listening()
    if let drained, drained.finish(.success(())) { finished.append(drained) }
    resumeFinished()
  }

  var shuttingDown: PostgresError { PostgresError(.unavailable, "the client has been shut down") }

  /// What to tell those whose command comes too late.
  private func refuse(_ command: Command) -> [any Resumable] {
    func refused<Outcome>(_ waiter: Waiter<Outcome>) -> [any Resumable] {
      waiter.finish(.failure(shuttingDown)) ? [waiter] : []
    }
    switch command {
    case .request(let request), .leased(let request, _): return refused(request)
    case .lease(let request): return refused(request)
    case .query(let operation, _): return refused(operation)
    case .drain(let waiter): return waiter.finish(.success(())) ? [waiter] : []
    case .listen(let queue):
      queue.end()
      return []
    case .discard, .release, .demoted, .unlisten, .opened, .stop: return []
    }
  }
}
