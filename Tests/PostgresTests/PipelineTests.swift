import Testing

@testable import Postgres

@Suite("Pipeline: whose answer is it")
struct PipelineTests {
  /// The actions for a run of events, in a form that can be compared.
  private func actions(_ pipeline: inout Pipeline<String>, _ events: [Pipeline<String>.Event]) -> [String] {
    events.map { event in
      switch pipeline.receive(event) {
      case .none: "none"
      case .prepared(let request, let step): "prepared \(request)\(step)"
      case .notPrepared(let request, let step): "not prepared \(request)\(step)"
      case .keep(let request, let step): "keep \(request)\(step)"
      case .fail(let request, let step): "fail \(request)\(step.map(String.init) ?? " at Sync")"
      case .finish(let request): "finish \(request)"
      case .violation: "violation"
      }
    }
  }

  @Test("A step that is prepared on the way has two answers")
  func preparing() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 2, prepares: 0b10)
    let seen = actions(&pipeline, [.result, .end, .result, .end, .result, .end, .sync])
    #expect(seen == ["keep a0", "none", "prepared a1", "none", "keep a1", "none", "finish a"])
    #expect(pipeline.isEmpty)
  }

  @Test("After an error the rest is aborted until the Sync, and the next request is untouched")
  func errorThenNext() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 2, prepares: 0b10)
    pipeline.send("b", steps: 1, prepares: 0)
    let seen = actions(
      &pipeline, [.error, .end, .aborted, .end, .aborted, .end, .sync, .result, .end, .sync])
    #expect(
      seen == [
        "fail a0", "none", "not prepared a1", "none", "none", "none", "finish a", "keep b0", "none",
        "finish b",
      ])
  }

  @Test("A constraint that is checked at commit fails at the Sync")
  func errorAtSync() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 1, prepares: 0)
    let seen = actions(&pipeline, [.result, .end, .error, .end, .sync])
    #expect(seen == ["keep a0", "none", "fail a at Sync", "none", "finish a"])
  }

  @Test(
    "Answers that fit nothing sent are noticed",
    arguments: [
      [.result], [.end], [.sync],
    ] as [[Pipeline<String>.Event]])
  func nothingSent(events: [Pipeline<String>.Event]) {
    var pipeline = Pipeline<String>()
    let seen = actions(&pipeline, events)
    #expect(seen == ["violation"])
  }

  @Test("A Sync before all answers, and an answer after them, are noticed")
  func outOfOrder() {
    var early = Pipeline<String>()
    early.send("a", steps: 2, prepares: 0)
    let seenEarly = actions(&early, [.result, .end, .sync])
    #expect(seenEarly.last == "violation")
    var late = Pipeline<String>()
    late.send("a", steps: 1, prepares: 0)
    let seenLate = actions(&late, [.result, .end, .result])
    #expect(seenLate.last == "violation")
  }

  @Test("When the server just goes away, all that was sent may have been carried out")
  func lostSilently() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 1, prepares: 0)
    pipeline.send("b", steps: 1, prepares: 0)
    let lost = pipeline.lose(afterFarewell: false).map(\.maybeApplied)
    #expect(lost == [true, true])
    #expect(pipeline.isEmpty)
  }

  @Test("When it says goodbye to one, that and those behind it have not been carried out")
  func lostAfterFarewell() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 1, prepares: 0)
    pipeline.send("b", steps: 1, prepares: 0)
    let lost = pipeline.lose(afterFarewell: true).map(\.maybeApplied)
    #expect(lost == [false, false])
  }

  @Test("A goodbye at the Sync leaves open whether the commit happened")
  func lostAtSync() {
    var pipeline = Pipeline<String>()
    pipeline.send("a", steps: 1, prepares: 0)
    pipeline.send("b", steps: 1, prepares: 0)
    _ = actions(&pipeline, [.result, .end])
    let lost = pipeline.lose(afterFarewell: true).map(\.maybeApplied)
    #expect(lost == [true, false])
  }
}

@Suite("SimpleQuery: a script or a copy")
struct SimpleQueryTests {
  @Test(
    "Each kind ends with the null, and only then",
    arguments: [
      ([.result, .result, .end], [.none, .none, .finished]),
      ([.error, .end], [.none, .finished]),
      ([.copyInReady, .dataEnded, .result, .end], [.started, .none, .none, .finished]),
      ([.copyOutReady, .dataEnded, .error, .end], [.started, .none, .none, .finished]),
      ([.copyInReady, .result], [.started, .violation]),
      ([.end, .end], [.finished, .violation]),
    ] as [([SimpleQuery.Event], [SimpleQuery.Action])])
  func sequences(events: [SimpleQuery.Event], actions: [SimpleQuery.Action]) {
    var query = SimpleQuery()
    query.begin()
    let seen = events.map { query.receive($0) }
    #expect(seen == actions)
  }
}
