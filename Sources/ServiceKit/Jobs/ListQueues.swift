internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func listQueues(_ request: ListQueuesRequest, _ context: CallContext) async throws
    -> ListQueuesResponse
  {
    ListQueuesResponse(queues: try await statuses().map { JobQueue($0) })
  }

  /// By name: those there is something to say of, and those the service works.
  func statuses() async throws -> [QueueStatus] {
    let known = try await jobs.queues()
    let empty = Set(queues).subtracting(known.map(\.name)).map { QueueStatus(name: $0) }
    return (known + empty).sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// - Throws: `noQueue`. A queue nobody knows is a name that was misspelt.
  func status(of queue: String) async throws -> QueueStatus {
    guard let status = try await statuses().first(where: { $0.name == queue }) else {
      throw JobsAdminError.noQueue(queue).rpcError
    }
    return status
  }
}
