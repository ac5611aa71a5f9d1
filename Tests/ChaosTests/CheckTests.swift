import Chaos
import Testing

@Suite("each check objects to a history that is planted for it")
struct CheckTests {
    private static let right = ScriptedPost.Event.digits(step: 2, right: true)
    private static let wrong = ScriptedPost.Event.digits(step: 1, right: false)

    /// Wrong digits, then right ones, each once, and read afterwards.
    private func story() -> Story {
        var story = Story {
            let events = $0.posts.map(\.event)
            return events.contains(Self.right) && events.contains(Self.wrong)
                && Set(events).count == events.count && $0.maxTries == 2
        }
        story.opened(at: 0)
        story.posted(.voice, at: 10, .accepted, .open)
        story.posted(Self.wrong, at: 20, .accepted, .open)
        story.posted(Self.wrong, at: 25, node: 2, .repeated, .open)
        story.posted(Self.right, at: 30, .accepted, .ended(.verified))
        story.posted(Self.right, at: 40, node: 3, .repeated, .ended(.verified))
        story.read(.ended(.verified), at: 50)
        story.end(
            "verified",
            triesLeft: 1,
            [
                story.line(.voice, "answered", 7), story.line(Self.wrong, "digits", 8),
                story.line(Self.right, "digits", 9, .accepted, "open", "verified"),
            ]
        )
        return story
    }

    @Test("a good history passes them all")
    func good() { #expect(story().checks == []) }

    @Test("a repeat with other bytes")
    func otherBytes() {
        var story = story()
        story.posted(Self.right, at: 60, .repeated, .ended(.verified), body: "something else")
        #expect(story.checks == ["same answer for ever"])
    }

    @Test("an open that is answered otherwise the second time")
    func otherOpening() {
        var story = story()
        story.opened(at: 60, body: "opened otherwise")
        #expect(story.checks == ["same answer for ever"])
    }

    @Test("a key that is taken a second time: it was forgotten")
    func takenTwice() {
        var story = story()
        story.posted(Self.right, at: 60, .late, .ended(.verified))
        #expect(story.checks == ["a key is taken once"])
    }

    @Test("a good request that is refused")
    func refused() {
        var story = story()
        story.add(.post(story.post(.voice)), at: 60, node: 1, status: 403, nil, .nothing, "no")
        #expect(story.checks == ["every answer has its form"])
    }

    @Test("an attempt that was opened and is not found, but for a local read")
    func notFound() {
        var story = story()
        story.add(.localRead, at: 60, node: 1, status: 404, nil, .nothing, "none")
        #expect(story.checks == [])
        story.add(.read, at: 61, node: 1, status: 404, nil, .nothing, "none")
        #expect(story.checks == ["every answer has its form"])
    }

    @Test("two outcomes")
    func twoOutcomes() {
        var story = story()
        story.read(.ended(.rejected), at: 60)
        #expect(story.checks == ["one terminal state", "linearizability"])
    }

    @Test("an outcome that is gone again, but for a local read of a node that is behind")
    func goneAgain() {
        var story = story()
        story.read(.open, at: 60, isLocal: true)
        #expect(story.checks == [])
        story.read(.open, at: 61)
        #expect(story.checks == ["linearizability"])
    }

    @Test("an outcome that nobody had asked for")
    func fromNowhere() {
        var story = Story { _ in true }
        story.opened(at: 0)
        story.read(.ended(.cancelled), at: 10)
        story.end("cancelled", triesLeft: story.script.maxTries, [])
        #expect(story.checks == ["linearizability"])
    }

    @Test("a decision that changes in the log, or that nodes place at other entries")
    func changes() {
        var story = story()
        var other = story
        other.views[1].decidedAt = 12
        #expect(other.checks == ["one terminal state"])
        let lines =
            story.views[0].lines + [
                story.line(.voice, "answered", 11, .mismatched, "verified", "rejected")
            ]
        story.end("verified", triesLeft: 1, lines)
        #expect(story.checks == ["one terminal state"])
    }

    @Test("a callback that was acknowledged and is in no timeline, or twice in one")
    func lost() {
        let story = story()
        var other = story
        other.views[2].lines.remove(at: 0)
        #expect(other.checks == ["nothing acknowledged is lost"])
        other = story
        other.views[2].lines.append(other.views[2].lines[0])
        #expect(other.checks == ["nothing acknowledged is lost"])
    }

    @Test("an attempt that a node has lost altogether")
    func attemptLost() {
        var story = story()
        story.views[0].state = nil
        story.views[0].lines = []
        #expect(story.checks.contains("nothing acknowledged is lost"))
    }

    @Test("a retry that uses up a try")
    func tryTwice() {
        var story = story()
        for node in story.views.indices { story.views[node].triesLeft = 0 }
        #expect(story.checks == ["no try is used twice"])
    }

    @Test("timelines that differ in a byte")
    func otherTimeline() {
        var story = story()
        story.views[1].timeline = 1
        #expect(story.checks == ["equal timelines"])
    }

    @Test("an attempt that stays open, though its outcome was acknowledged or its last call ended")
    func staysOpen() {
        var story = Story { $0.posts.contains { $0.event == .ended("busy") } }
        story.opened(at: 0)
        story.posted(.ended("busy"), at: 10, .accepted, .nothing)
        story.end(
            "open",
            triesLeft: story.script.maxTries,
            [story.line(.ended("busy"), "ended", 8)]
        )
        #expect(story.checks == ["every terminal event decides"])
    }

    @Test("a recovery that takes too long, or never comes; a node that ends by itself; one unread")
    func facts() {
        var story = story()
        story.facts.decidedAfter = nil
        #expect(story.checks == ["recovers in time"])
        story.facts.decidedAfter = 61_000_000_000
        #expect(story.checks == ["recovers in time"])
        story.facts.decidedAfter = 1
        story.facts.unread = ["node 2 does not answer"]
        #expect(story.checks == ["recovers in time"])
        story.facts.unread = []
        story.facts.unexpectedEnds = ["node 2 ended"]
        #expect(story.checks == ["nodes stay up"])
    }
}
