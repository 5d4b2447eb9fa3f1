internal import Postgres

/// What is done with the jobs of one kind.
package struct JobHandler: Sendable {
  let kind: String
  let options: JobOptions
  let run: @Sendable (_ payload: PostgresJSON, _ context: JobContext) async throws -> Void

  /// - Parameter body: must bear being run again for a job it has done already: a worker that dies may have done all of
  ///   it but say so. `context.id` is the same then; `context.complete(in:)` makes effect and acknowledgement one.
  package static func on<Kind: JobKind>(
    _: Kind.Type, _ body: @escaping @Sendable (Kind, JobContext) async throws -> Void
  ) -> JobHandler {
    JobHandler(kind: Kind.name, options: Kind.options) { payload, context in
      try await body(Payload.decode(Kind.self, payload.text), context)
    }
  }
}
